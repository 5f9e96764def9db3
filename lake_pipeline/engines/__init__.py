"""Engines: where a conversion runs. In this process, on Spark, or in AWS Glue; all run the kernel of `convert`."""
