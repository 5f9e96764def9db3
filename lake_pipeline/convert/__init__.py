"""The kernel (JSON bytes to Parquet parts) and the engines that run it. Free of Dagster, PostgreSQL and settings."""
