"""`make bench-spark`: this project's engine on Spark against plain Spark, and its driver's memory with many files."""
