"""The contenders, in the order in which they take turns. What each one runs is in its module."""

from __future__ import annotations

from bench.contenders import dlt, duckdb, lake, polars, spark

CONTENDERS = {module.CONTENDER.name: module.CONTENDER for module in (lake, duckdb, polars, spark, dlt)}
