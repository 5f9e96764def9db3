"""The contenders, in the order in which they take turns. What each one runs is in its module."""

from __future__ import annotations

from bench.contenders import dlt, duckdb, lake, lake_spark, polars, spark

CONTENDERS = {module.CONTENDER.name: module.CONTENDER for module in (lake, duckdb, polars, spark, dlt)}

ON_SPARK = {module.CONTENDER.name: module.CONTENDER for module in (lake_spark, spark)}
"""Those of `make bench-spark`: the same session, with this project's kernel in its tasks and without."""
