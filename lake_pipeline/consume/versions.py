"""Opening a published file as the version that was meant, wherever its bytes stand now.

A file that a snapshot holds leaves the plain path when it is replaced, and is kept elsewhere; it may do so between the
look at the ledger and the moment it is opened. What stands under its key by then must never be read in its place.
"""

from __future__ import annotations

import pyarrow as pa

from lake_pipeline.errors import ObjectChanged, ObjectMissing, PermanentError
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.zones import retained_key


def open_version(store: ObjectStore, key: str, etag: str) -> pa.NativeFile:
    """The bytes of the version `etag` of the curated file at `key`; closed by the caller.

    Raises `PermanentError` where it stands nowhere any more.
    """
    for place in (key, retained_key(key, etag)):
        try:
            return _open(store, place, etag)
        except (ObjectMissing, ObjectChanged):
            continue
    raise PermanentError(
        f"{key}, version {etag}, is not there any more: it was replaced, and no snapshot held it. Look at the lake "
        "again; a snapshot keeps its files (`lake snapshot create`)."
    )


def _open(store: ObjectStore, key: str, etag: str) -> pa.NativeFile:
    if not isinstance(store, DirectoryStore):
        # Each request says which version it means.
        return pa.PythonFile(store.open(key, etag=etag), mode="r")
    try:
        # Read without the interpreter and without a copy. Published files are replaced by others and never changed.
        file = pa.memory_map(str(store.path(key)), "r")
    except FileNotFoundError as error:
        raise ObjectMissing(key) from error
    # Looked at only now: an older version never comes back under a key, so what was opened is what stands here.
    found = store.stat(key)
    if found is None or found.etag != etag:
        file.close()
        raise ObjectChanged(key, etag, found.etag if found else "nothing")
    return file
