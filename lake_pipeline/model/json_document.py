"""JSON documents that something else may have written: in the store, in a queue, in a service, in a file.

Records of raw files are parsed by the kernel, which has limits of its own.
"""

from __future__ import annotations

import json
from typing import Any


def parse_document(text: str | bytes) -> Any:
    """The document. Raises ValueError for everything that is not JSON, or is nested too deep for Python."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
