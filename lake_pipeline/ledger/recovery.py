"""Recovery: batches of lost workers are reclaimed or adopted.

The files of a batch before its point of no return return to the queue. A batch past it gets a new owner, which rolls
it forward. The batch of a live worker is never changed: every write here checks again that the worker is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import Connection

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import raw_file
from lake_pipeline.ledger.settlement import lose
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState


@dataclass(frozen=True, kw_only=True)
class Reclaimed:
    """`batches` were abandoned, and `files` of them are pending again. The rest lost too many workers."""

    batches: int
    files: int


@dataclass(frozen=True, kw_only=True)
class LostBatch:
    """A claimed batch whose worker is gone.

    `run_id` is the recorded id of its engine run: None if none was recorded, empty if the run may not be looked up.
    """

    batch_id: str
    kind: str
    engine: str
    run_id: str | None
    owner: str
    is_dead: bool


@dataclass(frozen=True, kw_only=True)
class AdoptedRun:
    """An adopted claim, the id of its engine run, and the partitions if it is a rebuild."""

    claim: Claim
    run_id: str
    partitions: tuple[PartitionKey, ...] = ()


class Unknown(Enum):
    """The engine can't say now whether the run is alive."""

    UNKNOWN = auto()


LiveRun = Callable[[LostBatch], str | Unknown | None]
"""Returns the id of the engine run of a lost batch, if it is alive or succeeded."""


def no_live_run(_batch: LostBatch) -> None:
    """For callers that can't adopt a run."""


class Recovery(Component):
    """Reclaims and adopts the batches of lost workers."""

    def reclaim(
        self, *, owner_is_dead: Callable[[str], bool], max_lost: int, live_run: LiveRun = no_live_run
    ) -> Reclaimed:
        """Abandon claims whose lease expired or whose owner is dead, unless their engine run is alive (`adopt_run`).

        This does not count as an attempt. A file is quarantined after `max_lost` lost workers if the last of them held
        no other file.
        """
        lost = self.lost_batches(owner_is_dead)
        files = [self._reclaim_batch(batch, max_lost) for batch in lost if live_run(batch) is None]
        reclaimed = [count for count in files if count is not None]
        return Reclaimed(batches=len(reclaimed), files=sum(reclaimed))

    def adopt_run(
        self, kind: str, *, owner: str, owner_is_dead: Callable[[str], bool], live_run: LiveRun
    ) -> AdoptedRun | None:
        """Adopt a claim of that kind whose worker is gone and whose engine run is alive; None if there is none."""
        for batch in self.lost_batches(owner_is_dead):
            run_id = live_run(batch) if batch.kind == kind else None
            if not isinstance(run_id, str):
                continue
            fence = {"batch_id": batch.batch_id, "lost_owner": batch.owner, "owner_is_dead": batch.is_dead}
            with self._database.transaction() as connection:
                adopted = connection.execute(query("adopt_claim"), {**fence, "owner": owner}).one_or_none()
                if adopted is None:
                    continue
                files = tuple(map(raw_file, connection.execute(query("files_of_claim"), {"batch_id": batch.batch_id})))
            claim = Claim(batch_id=batch.batch_id, owner=owner, files=files, lease_seconds=adopted.lease_seconds)
            partitions = tuple(map(PartitionKey.parse, adopted.partitions or ()))
            return AdoptedRun(claim=claim, run_id=run_id, partitions=partitions)
        return None

    def lost_batches(self, owner_is_dead: Callable[[str], bool]) -> list[LostBatch]:
        """Claimed batches whose lease expired or whose owner is dead, oldest first."""
        with self._database.transaction() as connection:
            batches = connection.execute(query("claimed_batches")).all()
        checked = [(batch, owner_is_dead(batch.owner)) for batch in batches]
        return [
            LostBatch(
                batch_id=batch.batch_id,
                kind=batch.kind,
                engine=batch.engine,
                run_id=batch.external_run_id,
                owner=batch.owner,
                is_dead=dead,
            )
            for batch, dead in checked
            if dead or batch.expired
        ]

    def _reclaim_batch(self, batch: LostBatch, max_lost: int) -> int | None:
        """The number of files that are pending again; None if the batch was renewed or ended in the meantime."""
        cause = "The worker died" if batch.is_dead else "The worker's lease expired"
        with self._database.transaction() as connection:
            abandoned = connection.execute(
                query("abandon_batch"),
                {
                    "batch_id": batch.batch_id,
                    "owner": batch.owner,
                    "owner_is_dead": batch.is_dead,
                    "message": f"{cause}.",
                },
            )
            if not abandoned.rowcount:
                return None
            message = (
                f"{max_lost} workers were lost with this file, the last ones while they held no other. It probably "
                f"needs more memory than available. Run `lake retry` to retry it. ({cause}.)"
            )
            states = lose(connection, batch.batch_id, max_lost=max_lost, error_class="WorkerLost", message=message)
            return states.count(FileState.PENDING)

    def adopt_publications(self, *, owner: str, owner_is_dead: Callable[[str], bool]) -> list[tuple[str, Manifest]]:
        """Adopt the partly published batches of lost workers, with a full lease: (batch_id, manifest).

        They must be rolled forward: publish every object again, which is idempotent, then `publication.finish`.
        """
        with self._database.transaction() as connection:
            unfinished = connection.execute(query("unfinished_publications")).all()
            adopted = [batch for batch in unfinished if batch.expired or owner_is_dead(batch.owner)]
            for batch in adopted:
                self._adopt(connection, batch.batch_id, owner)
        return [(batch.batch_id, Manifest.from_json(batch.manifest)) for batch in adopted]

    def _adopt(self, connection: Connection, batch_id: str, owner: str) -> None:
        connection.execute(query("adopt_batch"), {"batch_id": batch_id, "owner": owner})
