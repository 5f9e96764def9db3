"""File versions: which of several versions of one key has its rows in the lake.

`decide_versions` is called twice: when a batch begins, and in the transaction that records its manifest. Manifests are
recorded one at a time, so of two versions the second call always sees the outcome of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from sqlalchemy import Connection

from lake_pipeline.errors import FilesMoved, LeaseLost, VersionsMoved
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.manifest import Manifest, Outcome
from lake_pipeline.model.states import FileState

NEWER_VERSION = "a newer version of the key was registered"
ALREADY_PUBLISHED = "another version of the key is published, and LAKE_NEW_VERSION=ignore keeps that one"


@dataclass(frozen=True, kw_only=True)
class OtherVersion:
    """Another version of the key of a claimed file. A higher id was registered later.

    `publishing`: its batch is past its point of no return. `together`: it is in the same claim.
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
class VersionDecision:
    """What a batch does about other versions of its files.

    `withdrawn` maps files that must not be published to the reason. `waits`: an older version is being published now.
    `replaces` maps a file to the older versions that are superseded once it is published.
    """

    withdrawn: Mapping[int, str] = field(default_factory=dict)
    waits: bool = False
    replaces: Mapping[int, Collection[int]] = field(default_factory=dict)

    def replaced(self, manifest: Manifest) -> tuple[int, ...]:
        """The older versions that are superseded by the files that `manifest` publishes."""
        converted = {file.file_id for file in manifest.files if file.outcome is Outcome.CONVERTED}
        superseded = {old for file_id, olds in self.replaces.items() if file_id in converted for old in olds}
        return tuple(sorted(superseded))


def decide_versions(others: Collection[OtherVersion], policy: NewVersion) -> VersionDecision:
    """The decision that `policy` makes about `others`."""
    match policy:
        case NewVersion.APPEND:
            return VersionDecision()
        case NewVersion.IGNORE:
            withdrawn = {other.file_id: ALREADY_PUBLISHED for other in others if _has_priority(other)}
            return VersionDecision(withdrawn=withdrawn)
        case NewVersion.REPLACE:
            return _replacements(others)
        case _:
            assert_never(policy)


def _has_priority(other: OtherVersion) -> bool:
    """The version published first stays. Of two in one claim only the newer one can still be read."""
    return other.state is FileState.SUCCEEDED or other.publishing or (other.together and other.is_newer)


def _replacements(others: Collection[OtherVersion]) -> VersionDecision:
    outdated = {other.file_id: NEWER_VERSION for other in others if other.is_newer}
    older = [other for other in others if not other.is_newer and other.file_id not in outdated]
    replaces: dict[int, list[int]] = {}
    for other in older:
        if other.state is not FileState.PROCESSING:
            replaces.setdefault(other.file_id, []).append(other.other_id)
    return VersionDecision(
        withdrawn=outdated,
        waits=any(other.publishing for other in older),
        replaces=replaces,
    )


class FileVersions(Component):
    """Decisions about several versions of one key."""

    def decide(self, claim: Claim, policy: NewVersion) -> VersionDecision:
        """What a batch does about other versions of its files, as of now."""
        if policy is NewVersion.APPEND:
            return VersionDecision()
        with self._database.transaction() as connection:
            return decide_versions(_others(connection, claim), policy)

    def withdraw(self, claim: Claim, reasons: Mapping[int, str]) -> None:
        """Take files out of the claim: they become SUPERSEDED, with the reason in their history. Raises `LeaseLost`."""
        values = {
            "batch_id": claim.batch_id,
            "owner": claim.owner,
            "file_ids": list(reasons),
            "reasons": list(reasons.values()),
        }
        with self._database.transaction() as connection:
            if connection.execute(query("withdraw_files"), values).rowcount != len(reasons):
                raise LeaseLost(claim.batch_id)


def check_versions(connection: Connection, claim: Claim, manifest: Manifest, policy: NewVersion) -> None:
    """Raises `VersionsMoved` or `FilesMoved` if the manifest does not follow `decide_versions` as of now."""
    if policy is NewVersion.APPEND or not claim.files:
        return
    decision = decide_versions(_others(connection, claim), policy)
    if decision.withdrawn:
        raise VersionsMoved(f"{len(decision.withdrawn)} files of the batch have another version that takes priority.")
    if decision.waits:
        raise FilesMoved("An older version of a file in this batch is being published right now.")
    if not set(decision.replaced(manifest)) <= set(manifest.superseded):
        raise FilesMoved("An older version of a file in this batch has been published in the meantime.")


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
