"""Batches: ingest, rebuild, forget, widen, and retry or release of files."""
