"""Records to columns: the fast parser, the tolerant parser, casts, flattening and evidence."""
