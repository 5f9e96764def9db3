"""The contenders, in the order of a round. Each module says what it runs."""

from __future__ import annotations

from bench.contenders import arrow, dlt, duckdb, lake, lake_spark, polars, spark

CONTENDERS = {module.CONTENDER.name: module.CONTENDER for module in (lake, duckdb, polars, arrow, spark, dlt)}

ON_SPARK = {module.CONTENDER.name: module.CONTENDER for module in (lake_spark, spark)}
"""For `make bench-spark`: the same session, with and without this project's kernel in its tasks."""
