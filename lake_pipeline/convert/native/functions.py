"""The functions of the machine code, by the module of `source` they stand in, and how many numbers each of them gets.

All of them have one form: numbers of 64 bits in, addresses among them, and one such number out.
"""

from __future__ import annotations

FUNCTIONS = {
    "scan": {"scan": 15},
    "gathering": {"gather_fixed": 7, "gather_rest": 12},
    "lines": {"survey_lines": 3, "find_line_ends": 4},
    "dates": {"day_keys": 6},
    "numbers": {"nearest_double": 2},
    "parquet_walking": {
        "column_arrays": 5,
        "child_arrays": 4,
        "enter_rows": 7,
        "enter_struct": 10,
        "items_room": 3,
        "enter_list": 14,
        "pick_items": 10,
    },
    "parquet_chunks": {"plain_sizes": 8, "plain_size": 6, "encode_columns": 9, "encode_entries": 6},
}

PREFIX = "lake_"
"""What their names begin with in the machine code."""
