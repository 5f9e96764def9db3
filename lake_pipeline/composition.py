"""Composition: build the parts that the use cases need from the settings.

The embedded ledger is started and migrated automatically; a user's database is only changed by `lake ledger migrate`.
What is done with an open lake is decided by the callers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.rules_file import rules_from_toml
from lake_pipeline.convert.request import ConversionOptions, Engine
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.errors import SettingsError
from lake_pipeline.ledger.connection import ConnectionOptions
from lake_pipeline.ledger.connection import ledger_url as url_of
from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline.model.defaults import MIN_AGE_SECONDS
from lake_pipeline.model.key_filter import KeyFilter
from lake_pipeline.settings import Settings
from lake_pipeline.settings.environment import java_home, server_environment
from lake_pipeline.settings.home import note_root
from lake_pipeline.settings.value_types import S3Root
from lake_pipeline.storage.factory import open_store
from lake_pipeline.storage.location import DirectoryLocation, Location, S3Location
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS, ObjectInfo, ObjectStore
from lake_pipeline.usecases.identity.check import check_identity, check_if_bound
from lake_pipeline.usecases.lake import Lake

if TYPE_CHECKING:
    from lake_pipeline.consume.athena import Athena
    from lake_pipeline.provision.lake import Choices
    from lake_pipeline.storage.s3.events import EventQueue

LEDGER_DATABASE = "lake"
"""The ledger's database in the embedded PostgreSQL."""


@contextmanager
def open_lake(settings: Settings, *, reading: bool = False) -> Iterator[Lake]:
    """The lake that `settings` describe, until the block ends.

    Unless it is opened for `reading` only, its identity is checked, so that nothing is written to a root and a ledger
    that do not belong together: raises `LakeNotThere` or `LakeMismatch`. Also raises `SettingsError` if a directory
    can't be used, `LedgerUnavailable`, and `LedgerOutdated` if the user's database has the schema of another version.
    """
    lake = connect_lake(settings)
    try:
        if not reading:
            check_identity(lake)
            note_home(settings)
        yield lake
    finally:
        lake.ledger.close()


def check_before_demo(settings: Settings) -> None:
    """Check that no demo would be written into the empty mount point of a lake.

    Raises `LakeNotThere` or `LakeMismatch`.
    """
    with open_lake(settings, reading=True) as lake:
        check_if_bound(lake)


def note_home(settings: Settings) -> None:
    """Write into the home which root it belongs to, after the identity was checked: it may be found by that later."""
    if settings.ledger.is_embedded:
        note_root(settings.storage.home, settings.storage.root, settings.storage.s3_endpoint_url)


def connect_lake(settings: Settings) -> Lake:
    """The same for a process that keeps it open and checks the identity itself, before each write.

    The caller may close `lake.ledger`.
    """
    # First, so that an invalid contract file ends a command before anything is started.
    options = conversion_options(settings)
    store = open_store(location_of(settings))
    url = ledger_url(settings)
    if settings.ledger.is_embedded:
        migrate(url)
    return Lake(
        store=store,
        ledger=Ledger(url, connection_options(settings), location=_ledger_location(settings)),
        engine=engine_of(settings, store),
        options=options,
        batch_files=settings.batches.batch_files,
        batch_bytes=settings.batches.batch_bytes,
        lease_seconds=settings.batches.lease_seconds,
        max_attempts=settings.batches.max_attempts,
        rewrite_bytes=settings.contract.rewrite_bytes,
        new_version=settings.batches.new_version,
        quarantine_days=settings.storage.quarantine_days,
        quarantine_warning=settings.checks.quarantine_warning,
        fresh_hours=settings.checks.fresh_hours,
        usual_share=settings.checks.usual_share,
        min_age_seconds=min_age_seconds(settings),
        key_filter=KeyFilter(include=settings.storage.include, exclude=settings.storage.exclude),
    )


def min_age_seconds(settings: Settings) -> int:
    """The age from which a listed file counts as complete. An object in a bucket appears when it is complete."""
    if settings.storage.min_age_seconds is not None:
        return settings.storage.min_age_seconds
    return 0 if isinstance(settings.storage.root, S3Root) else MIN_AGE_SECONDS


def engine_of(settings: Settings, store: ObjectStore) -> Engine:
    """The engine that converts. It starts nothing before the first conversion."""
    if settings.conversion.engine == "spark":
        # With all that splits a batch into shards.
        from lake_pipeline.engines.spark import SparkEngine

        folder = settings.storage.home / "spark"
        return SparkEngine(store, master=settings.conversion.spark_master, folder=folder, java_home=java_home())
    if settings.conversion.engine == "glue":
        # The AWS SDK takes a third of a second to load.
        from lake_pipeline.engines.glue.engine import GlueEngine

        s3_location_of(settings, "LAKE_ENGINE=glue")
        return GlueEngine(store, job=settings.glue.job, access=AwsAccess(region=settings.storage.aws_region))
    return InProcessEngine(store)


def location_of(settings: Settings) -> Location:
    """The location of the lake."""
    if not isinstance(settings.storage.root, S3Root):
        return DirectoryLocation(path=str(settings.storage.root), follow_links=settings.storage.follow_links)
    root = settings.storage.root
    return S3Location(bucket=root.bucket, prefix=root.prefix, access=_s3_access(settings))


def _s3_access(settings: Settings) -> AwsAccess:
    return AwsAccess(
        region=settings.storage.aws_region,
        endpoint_url=settings.storage.s3_endpoint_url,
        # Each converting thread fetches many small files at once, while other threads publish, archive or list.
        connections=(settings.conversion.workers + 1) * CONCURRENT_REQUESTS,
        timeout_seconds=settings.storage.s3_timeout_seconds,
    )


def inspected(settings: Settings, target: str) -> tuple[ObjectStore, str]:
    """The store and the key of what `lake inspect` reads: a path, an s3:// URL, or a key below LAKE_ROOT."""
    if target.lower().startswith("s3://"):
        bucket, _, key = target[len("s3://") :].partition("/")
        return open_store(S3Location(bucket=bucket, prefix="", access=_s3_access(settings))), key
    path = Path(target)
    if path.is_dir():
        return open_store(DirectoryLocation(path=str(path.resolve()), follow_links=False)), ""
    if path.exists():
        return open_store(DirectoryLocation(path=str(path.resolve().parent), follow_links=False)), path.resolve().name
    return open_store(location_of(settings)), target


def s3_location_of(settings: Settings, feature: str) -> S3Location:
    """The same for a `feature` that needs a bucket. Raises `SettingsError` if the lake is a directory."""
    location = location_of(settings)
    if not isinstance(location, S3Location):
        raise SettingsError("LAKE_ROOT", f"{feature} needs a lake in a bucket, but this one is {location}")
    return location


def event_queue(settings: Settings) -> EventQueue:
    """The queue of S3 events for new objects. Raises `SettingsError` if none is set."""
    # The AWS SDK takes a third of a second to load.
    from lake_pipeline.storage.s3.events import EventQueue

    if settings.storage.events_queue_url is None:
        raise SettingsError(
            "LAKE_EVENTS_QUEUE_URL", "no event queue is set; `lake provision` creates one and prints its URL"
        )
    return EventQueue(settings.storage.events_queue_url, s3_location_of(settings, "an event queue"))


def listed_inventory(settings: Settings, manifest_uri: str) -> Iterator[ObjectInfo]:
    """The objects of the lake in an S3 Inventory. Raises `BadInventory`, here or while it is read."""
    from lake_pipeline.storage.s3.inventory import inventory_objects

    return inventory_objects(s3_location_of(settings, "an inventory"), manifest_uri)


def athena(settings: Settings) -> Athena:
    """The options of Athena queries. Raises `SettingsError` if the lake is a directory."""
    from lake_pipeline.consume.athena import Athena

    s3_location_of(settings, "Athena")
    return Athena(
        access=AwsAccess(region=settings.storage.aws_region),
        database=settings.glue.database,
        workgroup=settings.athena.workgroup,
        output=settings.athena.output,
        price=settings.athena.price,
    )


def provisioning_choices(settings: Settings) -> Choices:
    """The options of `lake provision`. Raises `SettingsError` if the lake is a directory."""
    from lake_pipeline.provision.lake import Choices

    alerts = settings.dagster.alerts
    return Choices(
        location=s3_location_of(settings, "`lake provision`"),
        versioning=settings.storage.versioning,
        tier_days=settings.storage.tier_days,
        quarantine_days=settings.storage.quarantine_days,
        glue_database=settings.glue.database,
        glue_job=settings.glue.job,
        glue_role=settings.glue.role,
        glue_worker=settings.glue.worker,
        glue_workers=settings.glue.workers,
        glue_minutes=settings.glue.minutes,
        glue_runs=settings.dagster.max_runs,
        ledger_secret=settings.ledger.secret,
        ledger_user=_iam_user(settings),
        alert_topic=alerts if alerts and alerts.startswith("arn:") else None,
        athena_workgroup=settings.athena.workgroup,
        athena_output=settings.athena.output,
    )


def ledger_url(settings: Settings) -> str:
    """The URL of the user's ledger, or that of the embedded PostgreSQL, which is started."""
    if settings.ledger.secret is not None:
        from lake_pipeline.aws.secrets import database_url

        return database_url(settings.ledger.secret, region=settings.storage.aws_region)
    return settings.ledger.url or embedded_url(settings.storage.home, LEDGER_DATABASE, environment=server_environment())


def _ledger_location(settings: Settings) -> str | None:
    """Where the embedded ledger is, which its address does not say."""
    return f"embedded in {settings.storage.home} on {gethostname()}" if settings.ledger.is_embedded else None


def ledger_data(settings: Settings) -> Path | None:
    """The data directory of the embedded PostgreSQL, which may be outside of LAKE_HOME; None without one."""
    return EmbeddedHome(settings.storage.home.resolve()).data if settings.ledger.is_embedded else None


def connection_options(settings: Settings) -> ConnectionOptions:
    """How to connect to the configured ledger. The URL of the embedded one says it all."""
    if settings.ledger.is_embedded:
        return ConnectionOptions()
    ca_file = str(settings.ledger.ca) if settings.ledger.ca else None
    return ConnectionOptions(
        ca_file=ca_file, token=partial(_token, settings) if settings.ledger.auth == "iam" else None
    )


def _token(settings: Settings, host: str, port: int, user: str) -> str:
    from lake_pipeline.aws.database import rds_token

    return rds_token(host=host, port=port, user=user, region=settings.storage.aws_region)


def _iam_user(settings: Settings) -> str | None:
    if settings.ledger.auth != "iam" or settings.ledger.url is None:
        return None
    return url_of(settings.ledger.url).username


def conversion_options(settings: Settings) -> ConversionOptions:
    """The options of conversion. The default last date is tomorrow (UTC), since clocks of senders may be ahead."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return ConversionOptions(
        date_field=settings.records.date_field,
        date_formats=settings.records.date_formats,
        default_date=settings.records.default_date,
        mode_field=settings.records.mode_field,
        default_mode=settings.records.default_mode,
        key_pattern=settings.records.key_pattern,
        first_date=settings.records.first_date,
        last_date=settings.records.last_date or tomorrow,
        time_zone=settings.records.time_zone,
        rules=contract_rules(settings),
        max_bad_share=settings.records.max_bad_share,
        truncated=settings.records.truncated,
        max_record_bytes=settings.records.max_record_bytes,
        max_unpacked_ratio=settings.records.max_unpacked_ratio,
        max_blank_bytes=settings.records.max_blank_bytes,
        zstd_window=settings.records.zstd_window,
        part_bytes=settings.conversion.part_bytes,
        memory_bytes=settings.conversion.memory_bytes,
        workers=settings.conversion.workers,
    )


def contract_rules(settings: Settings) -> Rules:
    """The rules in the contract file, if there is one. Raises `SettingsError` with the problem in it."""
    path = settings.contract.contract_file
    if path is None:
        return Rules()
    try:
        return rules_from_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except ValueError as error:
        problem = str(error)
    raise SettingsError("LAKE_CONTRACT_FILE", f"{path}: {problem}")
