"""Large files: made, converted and measured in a process of their own, so that its peak memory is theirs alone."""
