"""Open a specific version of a published file, at its key or among the retained files.

A file that is retained for a snapshot moves when it is replaced, perhaps after the ledger was read and before the file
is opened. The new content of its key must never be read instead.
"""

from __future__ import annotations

import pyarrow as pa

from lake_pipeline.errors import LakeNotThere, ObjectChanged, ObjectMissing, PermanentError
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import IDENTITY, retained_key


def open_version(store: ObjectStore, key: str, etag: str) -> pa.NativeFile:
    """The bytes of the version `etag` of the curated file at `key`; closed by the caller.

    Raises `PermanentError` if it no longer exists, `LakeNotThere` if the whole root is gone.
    """
    for candidate in (key, retained_key(key, etag)):
        try:
            return _open(store, candidate, etag)
        except (ObjectMissing, ObjectChanged):
            continue
    if store.stat(IDENTITY) is None:
        raise LakeNotThere(
            f"{store.uri} has no {IDENTITY}, so {key} can't be read. Check that the volume is mounted and that "
            "LAKE_ROOT is right."
        )
    raise PermanentError(
        f"{key}, version {etag}, no longer exists: it was replaced, and no snapshot retained it. Select the files "
        "again, or create a snapshot first, which retains its files: `lake snapshot create`."
    )


def _open(store: ObjectStore, key: str, etag: str) -> pa.NativeFile:
    if not isinstance(store, DirectoryStore):
        # Each request names the version.
        return pa.PythonFile(store.open(key, etag=etag), mode="r")
    try:
        # Fast: no copy, no Python code per read. Safe: published files are replaced, but never changed.
        file = pa.memory_map(str(store.path(key)), "r")
    except FileNotFoundError as error:
        raise ObjectMissing(key) from error
    # Checked after opening: an older version never returns to a key, so the open file has the version found here.
    info = store.stat(key)
    if info is None or info.etag != etag:
        file.close()
        raise ObjectChanged(key, etag, info.etag if info else "nothing")
    return file
