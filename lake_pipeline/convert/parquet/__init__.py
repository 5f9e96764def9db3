"""Parquet, encoded here: less work than a general writer has, on the columns of this lake (docs/decisions/0020).

`spans` says which rows are written and `schema` which types, `levels` walks what is nested, `columns` makes pages,
`bounds` what readers prune by, `footer` the metadata, and `objects` puts it all into a store. What the bytes mean is
apache/parquet-format's.
"""

from __future__ import annotations

from lake_pipeline.convert.parquet.objects import ParquetObject
from lake_pipeline.convert.parquet.spans import Batch, Span, spans_of

__all__ = ["Batch", "ParquetObject", "Span", "spans_of"]
