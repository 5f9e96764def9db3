"""What readers of the lake use: SQL here and in Athena, Spark, datasets for training. Nothing here writes."""
