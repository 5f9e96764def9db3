"""A process with two deliberate errors: it calls machine code with a size that is too large, to read and to write.

A check that does not find these would not find errors in a conversion either.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.call import call

SIZE = 5000


def read_after_end() -> None:
    text, flags = np.full(SIZE, ord("x"), dtype=np.uint8), np.zeros(2, dtype=np.int64)
    call("survey_lines", text, SIZE + 64, flags)


def write_after_end() -> None:
    text, ends = np.full(SIZE, ord("\n"), dtype=np.uint8), np.zeros(SIZE - 1, dtype=np.int64)
    call("find_line_ends", text, SIZE, SIZE, ends)


if __name__ == "__main__":
    read_after_end()
    write_after_end()
