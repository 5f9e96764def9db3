"""The identity object in the root of a lake, `_lake.json`: reading, creating and replacing it.

Its id has to equal that of the ledger; `lake_pipeline.usecases.identity` compares them. Workers without a ledger
compare it with the id in their request.
"""

from __future__ import annotations

import json
from typing import Any

from lake_pipeline.errors import LakeMismatch, LakeNotThere, ObjectMissing, ObjectUnreadable, StorageRefused
from lake_pipeline.model.identity import RootIdentity
from lake_pipeline.model.json_document import parse_document
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import IDENTITY

FORMAT = 1
"""The version of the object's format. A newer one may mean a layout that this version does not know."""


def read_identity(store: ObjectStore) -> RootIdentity | None:
    """The identity of the root; None if it has none.

    Raises `StorageUnavailable`, and `LakeMismatch` if the object is damaged or of a newer version.
    """
    try:
        with store.open(IDENTITY) as stream:
            content = stream.read()
    except ObjectMissing:
        return None
    except ObjectUnreadable as error:
        # Without its identity the lake can't be used, whatever the reason.
        raise StorageRefused(f"{store.uri}: {error}") from error
    try:
        return _parse(parse_document(content))
    except (ValueError, KeyError, TypeError) as error:
        raise LakeMismatch(
            f"{store.uri}/{IDENTITY} is damaged, or was written by a newer version of this program. Nothing was "
            "written. Restore it from a backup, install the newer version, or write a new one with "
            "`lake ledger adopt-root`."
        ) from error


def create_identity(store: ObjectStore, identity: RootIdentity) -> bool:
    """Create the object; False if the root has one already, whatever it contains. Exact if several call it at once."""
    return store.create(IDENTITY, _content(identity))


def replace_identity(store: ObjectStore, identity: RootIdentity) -> None:
    """Replace the object, or create it, atomically."""
    writer = store.put_pending(IDENTITY)
    try:
        writer.write(_content(identity))
        pending = writer.finish()
    except BaseException:
        writer.discard()
        raise
    store.publish(pending)


def require_identity(store: ObjectStore, lake_id: str) -> None:
    """Raises `LakeNotThere` or `LakeMismatch` unless the root is that of the lake `lake_id`. One small request."""
    identity = read_identity(store)
    if identity is None:
        raise LakeNotThere(
            f"{store.uri} has no {IDENTITY}, so it is not the root of the lake {lake_id}. Check on this machine that "
            "the volume is mounted, and that LAKE_ROOT is right. Nothing was written."
        )
    if identity.lake_id != lake_id:
        raise LakeMismatch(
            f"{store.uri} is the root of the lake {identity.lake_id}, but this work is for the lake {lake_id}. "
            "Check LAKE_ROOT, and on this machine that the right volume is mounted. Nothing was written."
        )


def _content(identity: RootIdentity) -> bytes:
    ledger = {"id": identity.ledger_id, "location": identity.ledger_location}
    data = {"format": FORMAT, "id": identity.lake_id, "created": identity.created, "ledger": ledger}
    return json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"


def _parse(data: dict[str, Any]) -> RootIdentity:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}")
    return RootIdentity(
        lake_id=str(data["id"]),
        ledger_id=str(data["ledger"]["id"]),
        created=str(data["created"]),
        ledger_location=str(data["ledger"]["location"]),
    )
