"""The functions of the machine code, by the module of `source` they stand in, and how many numbers each of them gets.

All of them have one form: numbers of 64 bits in, addresses among them, and one such number out.
"""

from __future__ import annotations

FUNCTIONS = {
    "scan": {"scan": 15},
    "gathering": {
        "gather_validity": 4,
        "gather_bits": 4,
        "gather_numbers": 4,
        "list_offsets": 5,
        "gather_items": 7,
        "text_offsets": 5,
        "gather_texts": 8,
    },
    "lines": {"survey_lines": 3, "find_line_ends": 4},
    "dates": {"day_keys": 6},
    "numbers": {"nearest_double": 2},
    "parquet_walking": {
        "child_arrays": 4,
        "can_be_null": 2,
        "pick_rows": 6,
        "enter_rows": 7,
        "enter_struct": 10,
        "items_room": 3,
        "enter_list": 14,
        "pick_items": 10,
    },
    "parquet_columns": {
        "take_longs": 5,
        "take_ints": 5,
        "take_bits": 5,
        "take_decimals": 6,
        "texts_room": 4,
        "take_texts": 5,
    },
    "parquet_dictionaries": {"dictionary_of_longs": 7, "dictionary_of_bytes": 9},
    "parquet_bounds": {
        "bounds_of_longs": 3,
        "bounds_of_ints": 3,
        "bounds_of_doubles": 3,
        "bounds_of_texts": 3,
        "bounds_of_decimals": 4,
    },
    "parquet_pages": {"cut_pages": 9, "page_body": 13},
}

PREFIX = "lake_"
"""What their names begin with in the machine code."""
