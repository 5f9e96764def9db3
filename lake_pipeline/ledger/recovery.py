"""Recovery: what workers that are gone left behind, given back or taken over.

A batch before its point of no return is given back; one past it gets a new owner, who rolls it forward. The work
of a live worker is never touched: every write here checks again that the worker is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import Connection

from lake_pipeline.ledger.claims import raw_file
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import BatchState, FileState


@dataclass(frozen=True, kw_only=True)
class Reclaimed:
    """`batches` were abandoned and `files` of theirs wait again; others were tried too often, or there were none."""

    batches: int
    files: int


@dataclass(frozen=True, kw_only=True)
class LostBatch:
    """A claimed batch whose worker is gone.

    `run_id` is the noted id of its engine run: None where none was noted, empty where nobody may look for one.
    """

    batch_id: str
    kind: str
    engine: str
    run_id: str | None
    owner: str
    is_dead: bool


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """A claim that was taken over, the id of its run, and the partitions where it is a rebuild of some."""

    claim: Claim
    run_id: str
    partitions: tuple[PartitionKey, ...] = ()


class Unknown(Enum):
    """What can't be told now."""

    UNKNOWN = auto()


LiveRun = Callable[[LostBatch], str | Unknown | None]
"""The id of the run of a lost batch, where there is one that is worth waiting for."""


def no_live_run(_batch: LostBatch) -> None:
    """For those who can't go on with a run."""


class Recovering(Database):
    """The part of the ledger that whoever comes next uses."""

    def reclaim(
        self, *, owner_is_dead: Callable[[str], bool], max_lost: int, live_run: LiveRun = no_live_run
    ) -> Reclaimed:
        """Abandon claims whose lease ran out or whose owner is dead, unless their engine run lives: see `adopt_run`.

        That is no attempt of their files. A file that `max_lost` workers were lost with, the last one while it held
        no other file, goes to quarantine instead of back.
        """
        lost = self.lost_batches(owner_is_dead)
        files = [self._reclaim_batch(batch, max_lost) for batch in lost if live_run(batch) is None]
        given_back = [count for count in files if count is not None]
        return Reclaimed(batches=len(given_back), files=sum(given_back))

    def adopt_run(
        self, kind: str, *, owner: str, owner_is_dead: Callable[[str], bool], live_run: LiveRun
    ) -> Adopted | None:
        """Take over a claim of that kind whose worker is gone and whose engine run lives."""
        for batch in self.lost_batches(owner_is_dead):
            run_id = live_run(batch) if batch.kind == kind else None
            if not isinstance(run_id, str):
                continue
            fence = {"batch_id": batch.batch_id, "lost_owner": batch.owner, "owner_is_dead": batch.is_dead}
            with self.transaction() as connection:
                taken = connection.execute(query("adopt_claim"), {**fence, "owner": owner}).one_or_none()
                if taken is None:
                    continue
                files = tuple(map(raw_file, connection.execute(query("files_of_claim"), {"batch_id": batch.batch_id})))
            claim = Claim(batch_id=batch.batch_id, owner=owner, files=files, lease_seconds=taken.lease_seconds)
            partitions = tuple(map(PartitionKey.parse, taken.partitions or ()))
            return Adopted(claim=claim, run_id=run_id, partitions=partitions)
        return None

    def lost_batches(self, owner_is_dead: Callable[[str], bool]) -> list[LostBatch]:
        """Claimed batches whose lease ran out or whose owner is dead, the oldest first."""
        with self.transaction() as connection:
            batches = connection.execute(query("claimed_batches")).all()
        judged = [(batch, owner_is_dead(batch.owner)) for batch in batches]
        return [
            LostBatch(
                batch_id=batch.batch_id,
                kind=batch.kind,
                engine=batch.engine,
                run_id=batch.external_run_id,
                owner=batch.owner,
                is_dead=dead,
            )
            for batch, dead in judged
            if dead or batch.expired
        ]

    def _reclaim_batch(self, batch: LostBatch, max_lost: int) -> int | None:
        """How many files wait again; None where the batch was renewed meanwhile, or is over."""
        why = "The worker died" if batch.is_dead else "The worker's lease ran out"
        with self.transaction() as connection:
            abandoned = connection.execute(
                query("abandon_batch"),
                {
                    "batch_id": batch.batch_id,
                    "owner": batch.owner,
                    "owner_is_dead": batch.is_dead,
                    "message": f"{why}.",
                },
            )
            if not abandoned.rowcount:
                return None
            message = (
                f"{max_lost} workers were lost with this file, the last ones while they held no other. It probably "
                f"needs more memory than there is. `lake retry` tries again. ({why}.)"
            )
            states = connection.scalars(
                query("reclaim_files"),
                {"batch_id": batch.batch_id, "max_lost": max_lost, "message": message},
            )
            return states.all().count(FileState.PENDING)

    def adopt_publications(self, *, owner: str, owner_is_dead: Callable[[str], bool]) -> list[tuple[str, Manifest]]:
        """Take over the half published batches of workers that are gone, with a fresh lease: (batch_id, manifest).

        They must be rolled forward: publish every object again, which is harmless, then `finish_publish`.
        """
        with self.transaction() as connection:
            left = connection.execute(query("publications_left")).all()
            adopted = [batch for batch in left if batch.expired or owner_is_dead(batch.owner)]
            for batch in adopted:
                self._adopt(connection, batch.batch_id, owner)
        return [(batch.batch_id, Manifest.from_json(batch.manifest)) for batch in adopted]

    def _adopt(self, connection: Connection, batch_id: str, owner: str) -> None:
        connection.execute(query("adopt_batch"), {"batch_id": batch_id, "owner": owner})

    def batch_states(self, batch_ids: Collection[str]) -> dict[str, BatchState]:
        """The states of those batches that exist, by id."""
        with self.transaction() as connection:
            rows = connection.execute(query("batch_states"), {"batch_ids": list(batch_ids)})
            return {row.batch_id: BatchState(row.state) for row in rows}
