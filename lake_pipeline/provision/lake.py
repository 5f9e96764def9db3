"""The AWS resources of one lake, in the order of their creation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lake_pipeline.provision.bucket import (
    Bucket,
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
from lake_pipeline.storage.location import S3Location


class Part(StrEnum):
    """Parts that can be provisioned separately. An S3-compatible store has only a bucket."""

    BUCKET = "bucket"
    EVENTS = "events"
    GLUE = "glue"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the settings decide. Days count from the creation of an object; None means never.

    `glue_role` is the ARN of the role of the Glue job; without it no job is created. A run has `glue_workers` workers
    of type `glue_worker` and a timeout of `glue_minutes`, and at most `glue_runs` run concurrently. `ledger_secret`
    names the secret with the ledger's URL; `ledger_user` is the database user that authenticates with IAM tokens.
    `alert_topic` is the ARN of the SNS topic for alerts. Queries run in `athena_workgroup` and write their results to
    `athena_output` (None: as configured in the workgroup).
    """

    location: S3Location
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
    """The resources of the chosen parts. `table` is None before there is a contract."""
    chosen: list[Resource] = []
    if Part.BUCKET in parts:
        chosen += _bucket(choices)
    if Part.EVENTS in parts:
        queue = EventQueue(choices.location)
        chosen += [queue.dead_letter_queue, queue, Notification(choices.location, queue)]
    if Part.GLUE in parts:
        chosen.append(Database(choices.location, choices.glue_database))
        if table is not None:
            chosen.append(table)
        if choices.glue_role is not None:
            chosen += [Code(choices.location), _job(choices, choices.glue_role)]
    return chosen


def _job(choices: Choices, role: str) -> Job:
    return Job(
        choices.location,
        choices.glue_job,
        role,
        worker_type=choices.glue_worker,
        workers=choices.glue_workers,
        minutes=choices.glue_minutes,
        runs=choices.glue_runs,
    )


def _bucket(choices: Choices) -> list[Resource]:
    location = choices.location
    return [
        Bucket(location),
        Encryption(location),
        PublicAccess(location),
        *([Versioning(location)] if choices.versioning else []),
        Lifecycle(location, choices.tier_days, choices.quarantine_days, choices.versioning),
    ]
