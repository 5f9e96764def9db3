"""`make bench-spark`: this project's engine on Spark against plain Spark, and a driver with very many files."""
