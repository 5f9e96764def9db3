"""The commit of a batch as the store keeps it: its manifest and all that a new ledger needs to have the batch again.

It is serialized as compressed JSON. Writing and replaying are not here.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lake_pipeline.model.json_document import parse_document
from lake_pipeline.model.manifest import Manifest

FORMAT = 1
"""The version of the serialized form."""


COMPRESSION = 6
"""A commit of 1,000 files is 91 kB; level 9 takes longer and saves 1 %."""


@dataclass(frozen=True, kw_only=True)
class CommittedFile:
    """A raw file that a batch converted, rebuilt or superseded, as it was registered.

    `times_back` counts how often its key had returned to this content. `day` (YYYY-MM-DD) and `mode` (in its key form)
    are the partition that the key announces, if any. `archive_key` is where its original goes if it was converted.
    """

    file_id: int
    key: str
    etag: str
    times_back: int
    size: int
    lane: int
    day: str | None
    mode: str | None
    archive_key: str | None


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A batch past its point of no return.

    `number` is its position in the order of manifests, `created_at` (ISO 8601), `kind` and `engine` are those of
    the batch. `files` are all raw files that the manifest names. `evidence` is what the batch added, as JSON.
    `contract` is the version that the batch introduced, as JSON; None if it introduced none. `contract_version` is the
    one in force.
    """

    number: int
    batch_id: str
    kind: str
    engine: str
    created_at: str
    files: tuple[CommittedFile, ...]
    manifest: Manifest
    evidence: Mapping[str, Any] | None
    contract_version: int
    contract: Mapping[str, Any] | None

    def to_bytes(self) -> bytes:
        """The content of its object: the same bytes for equal commits."""
        document = {
            "format": FORMAT,
            "number": self.number,
            "batch_id": self.batch_id,
            "kind": self.kind,
            "engine": self.engine,
            "created_at": self.created_at,
            "files": [asdict(file) for file in self.files],
            "manifest": self.manifest.to_json(),
            "evidence": self.evidence,
            "contract_version": self.contract_version,
            "contract": self.contract,
        }
        return gzip.compress(json.dumps(document).encode(), compresslevel=COMPRESSION, mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> Commit:
        """The inverse of `to_bytes`. Raises ValueError for anything else."""
        try:
            document = parse_document(gzip.decompress(content))
            if document.pop("format") != FORMAT:
                raise ValueError("it has a format of another version of this program")
            files = tuple(CommittedFile(**file) for file in document.pop("files"))
            return cls(files=files, manifest=Manifest.from_json(document.pop("manifest")), **document)
        except (OSError, EOFError, zlib.error, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error
