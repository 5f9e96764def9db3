"""Raw JSON in S3 to partitioned Parquet, exactly once, with every row accounted for."""

__version__ = "0.1.0"
