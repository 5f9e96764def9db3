"""A snapshot as the store keeps it, for a ledger that is rebuilt: its selection and the versions of its files.

It is serialized as compressed JSON.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lake_pipeline.model.json_document import parse_document

FORMAT = 1
"""The version of the serialized form."""


@dataclass(frozen=True, kw_only=True)
class SnapshotRecord:
    """A snapshot; `files` are key and ETag of each data file. Days are YYYY-MM-DD, `modes` in their key form.

    None in the selection (`first`, `last`, `modes`, `columns`) means all. `size` is in bytes.
    """

    name: str
    first: str | None
    last: str | None
    modes: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    contract_version: int
    rows: int
    size: int
    checks: Mapping[str, Any]
    digest: str
    files: tuple[tuple[str, str], ...]

    def to_bytes(self) -> bytes:
        """The content of its object."""
        return gzip.compress(json.dumps({"format": FORMAT, **asdict(self)}).encode(), mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> SnapshotRecord:
        """The inverse of `to_bytes`. Raises ValueError for anything else."""
        try:
            document = parse_document(gzip.decompress(content))
            if document.pop("format") != FORMAT:
                raise ValueError("it has a format of another version of this program")
            for name in ("modes", "columns"):
                document[name] = None if document[name] is None else tuple(document[name])
            document["files"] = tuple((key, etag) for key, etag in document["files"])
            return cls(**document)
        except (OSError, EOFError, zlib.error, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error
