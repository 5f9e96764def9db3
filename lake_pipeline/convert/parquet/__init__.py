"""The Parquet encoder: less work than a general writer, for the columns of this lake (docs/decisions/0020).

`spans` select rows, `sparse` keeps those of wide contracts by their values, and `schema` has the types. `levels` finds
what is nested, `columns` makes pages, `bounds` merges their bounds, `footer` writes the metadata, and `objects` writes
everything to a store. The format is that of apache/parquet-format.
"""

from __future__ import annotations

from lake_pipeline.convert.parquet.objects import ParquetObject
from lake_pipeline.convert.parquet.spans import Batch, DenseBatch, Span, spans_of
from lake_pipeline.convert.parquet.sparse import SparseBatch, sparse_copy

__all__ = ["Batch", "DenseBatch", "ParquetObject", "Span", "SparseBatch", "spans_of", "sparse_copy"]
