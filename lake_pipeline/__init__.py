"""Convert raw JSON in S3 or a directory to partitioned Parquet, exactly once, with every record accounted for.

docs/architecture.md describes the packages and what each may import.
"""

__version__ = "0.1.0"
