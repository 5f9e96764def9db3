"""Parquet data files: written from converted rows, rewritten with wider types, rewritten without some rows."""
