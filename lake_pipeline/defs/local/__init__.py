"""`lake dev` and `lake demo`: Dagster on this machine."""
