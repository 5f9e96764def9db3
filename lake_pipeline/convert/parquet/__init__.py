"""Parquet, encoded here: less work than a general writer has, on the columns of this lake (docs/decisions/0020).

`schema` says which types are written, `levels` walks Arrow arrays, `columns` makes pages of them, `bounds` what readers
prune by, `footer` the metadata, and `objects` puts it all into a store. What the bytes mean is apache/parquet-format's.
"""

from __future__ import annotations

from lake_pipeline.convert.parquet.objects import ParquetObject

__all__ = ["ParquetObject"]
