"""The kernel: JSON bytes to Parquet parts. The engines that run it are in `lake_pipeline/engines/`.

Free of Dagster, PostgreSQL and settings.
"""
