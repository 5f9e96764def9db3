"""Large files: created, converted and measured in a separate process, so that its peak memory is theirs alone."""
