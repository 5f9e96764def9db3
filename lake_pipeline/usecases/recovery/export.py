"""Exported ledgers: the check that a file belongs to the lake it is restored for."""

from __future__ import annotations

from typing import BinaryIO

from lake_pipeline.errors import LakeMismatch
from lake_pipeline.ledger.transfer import read_header
from lake_pipeline.storage.identity import read_identity
from lake_pipeline.usecases.lake import Lake


def check_export(lake: Lake, source: BinaryIO) -> None:
    """Raises `LakeMismatch` if the root of `lake` belongs to another lake than the exported ledger in `source`."""
    header, of_root = read_header(source), read_identity(lake.store)
    if of_root is not None and header.lake != of_root.lake_id:
        raise LakeMismatch(
            f"The file has the ledger of the lake {header.lake}, and {lake.store.uri} is the root of the lake "
            f"{of_root.lake_id}. Nothing was restored. Check LAKE_ROOT. If the root got a new identity since the "
            "export, use an empty ledger and `lake recover`."
        )
