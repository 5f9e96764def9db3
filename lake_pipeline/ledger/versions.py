"""Versions: of the files of one key that the ledger knows, which one has its rows in the lake.

`judge` decides, from what the ledger holds at one moment; a batch asks when it begins, and again in the transaction
that records it, when nobody else can record. So of two versions the later look sees the earlier one's outcome.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from sqlalchemy import Connection

from lake_pipeline.errors import FilesMoved, LeaseLost, VersionsMoved
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.manifest import Manifest, Outcome
from lake_pipeline.model.states import FileState

NEWER_IS_HERE = "a newer version of the key was registered"
ONE_IS_ENOUGH = "another version of the key is published, and LAKE_NEW_VERSION=ignore keeps that one"


@dataclass(frozen=True, kw_only=True)
class OtherVersion:
    """Another version of a claimed file's key. `publishing`: its batch is past its point of no return.

    `together`: it is in the same claim. The higher id was registered later.
    """

    file_id: int
    other_id: int
    state: FileState
    publishing: bool
    together: bool

    @property
    def is_newer(self) -> bool:
        return self.other_id > self.file_id


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a batch does about other versions of its files.

    `steps_back` maps files that must not be published to why. `waits` where an older version is just being
    published. `replaces` maps a file to the older versions that give way once it is published.
    """

    steps_back: Mapping[int, str] = field(default_factory=dict)
    waits: bool = False
    replaces: Mapping[int, Collection[int]] = field(default_factory=dict)

    def replaced(self, manifest: Manifest) -> tuple[int, ...]:
        """The older versions that give way to the files that `manifest` publishes."""
        converted = {file.file_id for file in manifest.files if file.outcome is Outcome.CONVERTED}
        found = {old for file_id, olds in self.replaces.items() if file_id in converted for old in olds}
        return tuple(sorted(found))


def judge(others: Collection[OtherVersion], policy: NewVersion) -> Verdict:
    """What follows from the `others` under `policy`."""
    match policy:
        case NewVersion.APPEND:
            return Verdict()
        case NewVersion.IGNORE:
            lost = {other.file_id: ONE_IS_ENOUGH for other in others if _goes_first(other)}
            return Verdict(steps_back=lost)
        case NewVersion.REPLACE:
            return _replacing(others)
        case _:
            assert_never(policy)


def _goes_first(other: OtherVersion) -> bool:
    """Of two versions the one that is published first stays; of two in one claim only the newer one can be read."""
    return other.state is FileState.SUCCEEDED or other.publishing or (other.together and other.is_newer)


def _replacing(others: Collection[OtherVersion]) -> Verdict:
    outdated = {other.file_id: NEWER_IS_HERE for other in others if other.is_newer}
    older = [other for other in others if not other.is_newer and other.file_id not in outdated]
    replaces: dict[int, list[int]] = {}
    for other in older:
        if other.state is not FileState.PROCESSING:
            replaces.setdefault(other.file_id, []).append(other.other_id)
    return Verdict(
        steps_back=outdated,
        waits=any(other.publishing for other in older),
        replaces=replaces,
    )


class Versions(Database):
    """The part of the ledger that knows of several versions of one key."""

    def judge_versions(self, claim: Claim, policy: NewVersion) -> Verdict:
        """What a batch does about other versions of its files, as things are now."""
        if policy is NewVersion.APPEND:
            return Verdict()
        with self.transaction() as connection:
            return judge(_others(connection, claim), policy)

    def step_back(self, claim: Claim, whys: Mapping[int, str]) -> None:
        """Take files out of the claim: they become SUPERSEDED, and the reason stands in their history.

        Raises `LeaseLost`.
        """
        values = {
            "batch_id": claim.batch_id,
            "owner": claim.owner,
            "file_ids": list(whys),
            "whys": list(whys.values()),
        }
        with self.transaction() as connection:
            if connection.execute(query("step_back"), values).rowcount != len(whys):
                raise LeaseLost(claim.batch_id)


def check_versions(connection: Connection, claim: Claim, manifest: Manifest, policy: NewVersion) -> None:
    """Raises `VersionsMoved` or `FilesMoved` where the manifest does not do what `judge` asks at this moment."""
    if policy is NewVersion.APPEND or not claim.files:
        return
    verdict = judge(_others(connection, claim), policy)
    if verdict.steps_back:
        raise VersionsMoved(f"{len(verdict.steps_back)} files of the batch have another version that goes first.")
    if verdict.waits:
        raise FilesMoved("An older version of a file in this batch is being published at this moment.")
    if not set(verdict.replaced(manifest)) <= set(manifest.superseded):
        raise FilesMoved("An older version of a file in this batch was published meanwhile.")


def _others(connection: Connection, claim: Claim) -> list[OtherVersion]:
    rows = connection.execute(query("other_versions"), {"batch_id": claim.batch_id})
    return [
        OtherVersion(
            file_id=row.file_id,
            other_id=row.other_id,
            state=FileState(row.state),
            publishing=row.publishing,
            together=row.together,
        )
        for row in rows
    ]
