"""Functions of the machine code: the module of `source` that defines each, and how many arguments it has.

All have one form: 64-bit integers in, addresses included, and one 64-bit integer out.
"""

from __future__ import annotations

FUNCTIONS = {
    "scan": {"scan": 1},
    "gather": {"gather_fixed": 7, "gather_variable": 12},
    "lines": {"survey_lines": 3, "find_line_ends": 4},
    "dates": {"day_keys": 6},
    "numbers": {"nearest_double": 2},
    "parquet_levels": {
        "column_arrays": 5,
        "child_arrays": 4,
        "enter_rows": 7,
        "enter_struct": 10,
        "max_list_entries": 3,
        "enter_list": 14,
        "pick_items": 10,
    },
    "parquet_sparse": {"sparse_sizes": 6, "copy_sparse": 6},
    "parquet_chunks": {"plain_sizes": 7, "plain_size": 6, "encode_columns": 9, "encode_entries": 6},
}

PREFIX = "lake_"
"""The prefix of their names in the machine code."""
