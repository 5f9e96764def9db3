"""The partition of each row: its date and its mode."""
