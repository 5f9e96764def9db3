"""Line ends: how many lines a text has, where they end, and what else a look at every byte can tell.

One pass of machine code over vectors of 32 bytes takes a tenth of what comparing and searching with numpy takes, which
was a twentieth of a conversion.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.calling import call


def survey(text: bytes | memoryview) -> tuple[int, bool, bool]:
    """(how many newlines there are, whether `}{` stands anywhere, whether a line begins with a blank or is empty)."""
    data, found = np.frombuffer(text, dtype=np.uint8), np.empty(2, dtype=np.int64)
    count = call("survey_lines", data, len(data), found)
    return count, bool(found[0]), bool(found[1])


def line_ends(text: bytes, count: int) -> npt.NDArray[np.int64]:
    """The position of each of the `count` newlines."""
    data, ends = np.frombuffer(text, dtype=np.uint8), np.empty(count, dtype=np.int64)
    call("find_line_ends", data, len(data), count, ends)
    return ends
