"""Lost batches: a commit is stored, but its quarantine files are neither published nor pending any more.

Its worker died before it published anything, and the pending objects are gone, for example because the store comes from
a backup. If nothing builds on the commit, it is emptied and its files are converted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from lake_pipeline.model.commit import Commit
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import QUARANTINE, commit_key
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import read_commit
from lake_pipeline.usecases.recovery.rebuild_ledger.history import History, commits_of, only_adds
from lake_pipeline.usecases.recovery.rebuild_ledger.published_steps import loss
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step


def lost_batches(lake: Lake, stored: range, missing: range, pending: Collection[tuple[str, str]]) -> dict[int, str]:
    """The numbers of the lost batches among those that the ledger is `missing`, with the reason."""
    lost: dict[int, str] = {}
    if not missing:
        return lost
    with History(commits_of(lake.store, stored), pending) as history:
        objects = external_sorted(lake.store.objects(QUARANTINE), lambda info: info.key)
        for _, infos, versions in merge_by_key(
            objects, lambda info: info.key, history.published(QUARANTINE), lambda item: item.key
        ):
            if not versions or versions[-1].etag is None:
                continue
            number = versions[-1].number
            problem = loss(lake, infos[0] if infos else None, versions[-1], pending)
            if problem is not None and number in missing and number > history.last_rewrite:
                lost[number] = problem
    return lost


def take_back_steps(lake: Lake, lost: Mapping[int, str]) -> Iterator[Step]:
    """Empty the commits of lost batches."""
    for number, problem in sorted(lost.items()):
        yield Step(
            action=Action.TAKE_BACK,
            key=commit_key(number),
            reason=f"{problem} and is not pending any more; its files are converted again by the next `lake ingest`",
            run=partial(_empty, lake.store, number),
        )


def without(commits: Iterable[Commit], lost: Collection[int]) -> Iterator[Commit]:
    """The commits, those of lost batches emptied."""
    return (emptied(commit) if commit.number in lost else commit for commit in commits)


def emptied(commit: Commit) -> Commit:
    """The commit without files and objects. The contract that it introduced stays: later ones build on it."""
    assert only_adds(commit.manifest), "nothing else can be converted again"
    return replace(commit, manifest=Manifest(curated=(), quarantine=(), files=()), files=(), evidence=None)


def _empty(store: ObjectStore, number: int) -> None:
    """Replace the object in one step: without it, the later commits could not be replayed."""
    writer = store.put_pending(commit_key(number))
    writer.write(emptied(read_commit(store, number)).to_bytes())
    store.publish(writer.finish())
