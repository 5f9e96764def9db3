"""Everything that one lake needs on AWS, in the order in which it is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lake_pipeline.provision.bucket import (
    BucketItself,
    Encryption,
    Lifecycle,
    Notification,
    PublicAccess,
    Versioning,
)
from lake_pipeline.provision.catalog import Database, Table
from lake_pipeline.provision.glue import Code, Job
from lake_pipeline.provision.plan import Resource
from lake_pipeline.provision.queue import EventQueue
from lake_pipeline.storage.places import S3Place


class Part(StrEnum):
    """What can be provisioned by itself. An S3-compatible store has a bucket and nothing else."""

    BUCKET = "bucket"
    EVENTS = "events"
    GLUE = "glue"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person decides. Days count from when an object was written; None means never.

    Without `glue_role`, the ARN of the role it runs as, no Glue job is made. A run of it has `glue_workers` of the type
    `glue_worker` for `glue_minutes` at most, and `glue_runs` of them may be under way. `ledger_secret` names the
    secret that has the ledger's URL, if one has; `ledger_user` signs in to it with tokens of IAM, if one does.
    `alert_topic` is the ARN of the SNS topic that is told of troubles, if one is. Queries run in `athena_workgroup`,
    with results under `athena_output` (None: as the workgroup says).
    """

    place: S3Place
    versioning: bool = False
    tier_days: int = 90
    quarantine_days: int | None = None
    glue_database: str = "lake"
    glue_job: str = "lake-conversion"
    glue_role: str | None = None
    glue_worker: str = "G.1X"
    glue_workers: int = 10
    glue_minutes: int = 480
    glue_runs: int = 2
    ledger_secret: str | None = None
    ledger_user: str | None = None
    alert_topic: str | None = None
    athena_workgroup: str = "primary"
    athena_output: str | None = None


def resources(choices: Choices, table: Table | None, parts: frozenset[Part]) -> list[Resource]:
    """The resources of the chosen parts. Without a contract there is no `table` yet."""
    made: list[Resource] = []
    if Part.BUCKET in parts:
        made += _bucket(choices)
    if Part.EVENTS in parts:
        queue = EventQueue(choices.place)
        made += [queue.refused, queue, Notification(choices.place, queue)]
    if Part.GLUE in parts:
        made.append(Database(choices.place, choices.glue_database))
        if table is not None:
            made.append(table)
        if choices.glue_role is not None:
            made += [Code(choices.place), _job(choices, choices.glue_role)]
    return made


def _job(choices: Choices, role: str) -> Job:
    return Job(
        choices.place,
        choices.glue_job,
        role,
        worker_type=choices.glue_worker,
        workers=choices.glue_workers,
        minutes=choices.glue_minutes,
        runs=choices.glue_runs,
    )


def _bucket(choices: Choices) -> list[Resource]:
    place = choices.place
    return [
        BucketItself(place),
        Encryption(place),
        PublicAccess(place),
        *([Versioning(place)] if choices.versioning else []),
        Lifecycle(place, choices.tier_days, choices.quarantine_days, choices.versioning),
    ]
