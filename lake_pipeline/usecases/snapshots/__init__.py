"""Snapshots: immutable, named sets of published data files."""
