"""Reading the curated table: SQL with DuckDB and Athena, Spark, datasets for training. Nothing here writes."""
