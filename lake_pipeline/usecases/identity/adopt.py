"""Adopt a root on purpose: give a root and a ledger that belong together a common identity.

It is for a deleted `_lake.json`, for a lake that was copied, and for a ledger that replaces another one. The identity
is new, so every other ledger and root with the old one is locked out. Nothing but an operator's command does it.

    1. the ledger gets the new lake id       2. `_lake.json` is replaced

If it is interrupted in between, every writer is refused, and adopting again completes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lake_pipeline.errors import LakeMismatch
from lake_pipeline.storage.identity import read_identity, replace_identity
from lake_pipeline.usecases.identity.check import check_identity, new_identity
from lake_pipeline.usecases.identity.evidence import check_unclaimed
from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The ids of root and ledger before, None if they had none, and the common one now."""

    root_before: str | None
    ledger_before: str | None
    lake_id: str

    @property
    def is_changed(self) -> bool:
        return not self.root_before == self.ledger_before == self.lake_id


def adopt_root(lake: Lake, *, new_id: bool = False) -> Adoption:
    """Bind root and ledger of `lake` to each other, if the files in the root are those of the ledger.

    If they have the same identity already, nothing changes, unless `new_id` is set: for a copy of a lake, which has the
    identity of the original. Otherwise both get a new one.

    Raises `LakeNotThere` or `LakeMismatch` if the files do not fit; then nothing has changed.
    """
    check_unclaimed(lake)
    before, root_before = lake.ledger.identity.read(), _root_id(lake)
    if root_before is not None and root_before == before.lake_id and not new_id:
        return Adoption(root_before=root_before, ledger_before=before.lake_id, lake_id=root_before)
    if not lake.ledger.identity.has_files():
        lake.store.create_root()
    return Adoption(root_before=root_before, ledger_before=before.lake_id, lake_id=bind_together(lake))


def bind_together(lake: Lake) -> str:
    """Give ledger and root a new common identity, whatever they have; returns its id.

    For callers that have checked that their files fit.
    """
    identity = new_identity(lake, lake.ledger.identity.read().ledger_id)
    lake.ledger.identity.rebind(identity.lake_id)
    replace_identity(lake.store, identity)
    log.info("%s and the ledger %s are the lake %s", lake.store.uri, lake.ledger.location, identity.lake_id)
    return check_identity(lake)


def _root_id(lake: Lake) -> str | None:
    """The id in the root; None if there is none, or a damaged object."""
    try:
        identity = read_identity(lake.store)
    except LakeMismatch:
        return None
    return identity.lake_id if identity else None
