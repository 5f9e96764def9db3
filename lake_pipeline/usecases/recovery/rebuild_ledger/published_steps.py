"""Data files and quarantine files: the store compared with what its commits say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import partial

from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.fsck.published import may_be_expired
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.rebuild_ledger.history import (
    PUBLISHED_ZONES,
    History,
    PublishedObject,
    token_id,
)
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step


def published_steps(
    lake: Lake,
    history: History,
    pending: Collection[tuple[str, str]],
    convert_again: Callable[[PartitionKey, str], object],
) -> Iterator[Step]:
    """Delete what was replaced, and set aside what no commit explains.

    Calls `convert_again` with the partitions that lack rows, and the reason. Objects in `pending` are published by the
    roll-forward of their batch.
    """
    for zone in PUBLISHED_ZONES:
        objects = external_sorted(lake.store.objects(zone), lambda info: info.key)
        for key, infos, versions in merge_by_key(
            objects, lambda info: info.key, history.published(zone), lambda item: item.key
        ):
            info = infos[0] if infos else None
            if not versions:
                yield _set_aside(lake, key)
            elif versions[-1].etag is None:
                if info is not None:
                    yield _delete(lake, key, versions[-1])
            elif (problem := loss(lake, info, versions[-1], pending)) is not None:
                for partition in versions[-1].partitions:
                    convert_again(partition, problem)
                if not versions[-1].partitions:
                    yield Step(action=Action.LEFT, key=key, reason=f"{problem}; `lake fsck` says what to do")


def loss(
    lake: Lake, info: ObjectInfo | None, version: PublishedObject, pending: Collection[tuple[str, str]]
) -> str | None:
    """What is missing of a published object; None if it is there, is being published, or has expired."""
    if info is not None and (info.size, info.etag) == (version.size, version.etag):
        return None
    if (version.key, token_id(version.token)) in pending:
        return None
    if info is None and version.key.startswith(zones.QUARANTINE):
        age = datetime.now(UTC) - datetime.fromisoformat(version.age_from)
        if may_be_expired(lake, age.total_seconds()):
            return None
    problem = "is gone" if info is None else "differs from what was published"
    return f"{version.key} of commit {version.number} {problem}"


def _delete(lake: Lake, key: str, version: PublishedObject) -> Step:
    return Step(
        action=Action.DELETE,
        key=key,
        reason=f"commit {version.number} replaced or removed it, and readers still see it",
        run=partial(lake.store.delete, key),
    )


def _set_aside(lake: Lake, key: str) -> Step:
    return Step(
        action=Action.SET_ASIDE,
        key=key,
        reason=f"no commit explains it; it is kept as {zones.ORPHANS}{key}",
        run=partial(set_aside, lake, key),
    )


def set_aside(lake: Lake, key: str) -> None:
    """Move an object to the folder of orphans. Idempotent."""
    info = lake.store.stat(key)
    if info is not None:
        lake.store.move(key, f"{zones.ORPHANS}{key}", etag=info.etag)
