"""Conversion in a Dagster run: the asset and its op, the run log, and the events and metadata it reports."""
