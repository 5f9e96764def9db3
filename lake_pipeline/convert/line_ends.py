"""Line ends: where the lines of a text end, and what else a look at every byte can tell.

One pass of machine code over vectors of 32 bytes takes a fifth of what comparing and searching with numpy takes, which
was a twentieth of a conversion.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.calling import call


def line_ends(text: bytes) -> tuple[npt.NDArray[np.int64], bool, bool]:
    """(the position of every newline, whether `}{` stands anywhere, whether a line begins with a blank or is empty)."""
    data = np.frombuffer(text, dtype=np.uint8)
    joined = np.empty(1, dtype=np.int64)
    ends = np.empty(call("survey_lines", data, len(data), joined), dtype=np.int64)
    blank = call("find_line_ends", data, len(data), len(ends), ends)
    return ends, bool(joined[0]), bool(blank)
