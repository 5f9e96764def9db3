"""Opening a lake: the one place where settings become the parts that the use cases work with.

The embedded ledger is started and brought up to date by itself; a database that somebody gave is never changed
without being asked. Nothing here decides what is done with an open lake.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.rules_file import rules_from_toml
from lake_pipeline.convert.in_process import InProcessEngine
from lake_pipeline.convert.request import ConversionOptions, Engine
from lake_pipeline.convert.spark import SparkEngine
from lake_pipeline.errors import SettingsError
from lake_pipeline.ingest.lake import REQUESTS_AT_ONCE, Lake
from lake_pipeline.ledger.connection import Entrance
from lake_pipeline.ledger.connection import ledger_url as url_of
from lake_pipeline.ledger.embedded import embedded_url
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline.settings import Settings
from lake_pipeline.settings.kinds import S3Root
from lake_pipeline.storage.objects import ObjectInfo, ObjectStore
from lake_pipeline.storage.opening import open_store
from lake_pipeline.storage.places import DirectoryPlace, Place, S3Place

if TYPE_CHECKING:
    from lake_pipeline.consume.athena import Athena
    from lake_pipeline.provision.lake import Choices
    from lake_pipeline.storage.s3_events import EventQueue

LEDGER_DATABASE = "lake"
"""The ledger's database in the embedded PostgreSQL."""


@contextmanager
def open_lake(settings: Settings) -> Iterator[Lake]:
    """The lake that `settings` describe, until the block ends.

    Raises `SettingsError` where a directory can't be used, `LedgerUnavailable`, and `LedgerOutdated` where the
    given database has another schema than this version.
    """
    lake = connect_lake(settings)
    try:
        yield lake
    finally:
        lake.ledger.close()


def connect_lake(settings: Settings) -> Lake:
    """The same for a process that keeps it to its end. The caller closes `lake.ledger`, or nobody does."""
    # First, so that a wrong contract file ends a command before anything is started.
    options = conversion_options(settings)
    store = open_store(place_of(settings))
    url = ledger_url(settings)
    if settings.ledger_is_embedded:
        migrate(url)
    return Lake(
        store=store,
        ledger=Ledger(url, ledger_entrance(settings)),
        engine=engine_of(settings, store),
        options=options,
        batch_files=settings.batch_files,
        batch_bytes=settings.batch_bytes,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
        rewrite_bytes=settings.rewrite_bytes,
        new_version=settings.new_version,
        quarantine_days=settings.quarantine_days,
        quarantine_warning=settings.quarantine_warning,
        fresh_hours=settings.fresh_hours,
        usual_share=settings.usual_share,
    )


def engine_of(settings: Settings, store: ObjectStore) -> Engine:
    """Where conversion runs. Nothing is started before something is converted."""
    if settings.engine == "spark":
        return SparkEngine(store, master=settings.spark_master, folder=settings.home / "spark")
    if settings.engine == "glue":
        # The AWS SDK takes a third of a second to load.
        from lake_pipeline.convert.glue import GlueEngine

        s3_place_of(settings, "LAKE_ENGINE=glue")
        return GlueEngine(store, job=settings.glue_job, access=AwsAccess(region=settings.aws_region))
    return InProcessEngine(store)


def place_of(settings: Settings) -> Place:
    """Where the lake is."""
    if not isinstance(settings.root, S3Root):
        return DirectoryPlace(path=str(settings.root))
    access = AwsAccess(
        region=settings.aws_region,
        endpoint_url=settings.s3_endpoint_url,
        # Each converting thread fetches a pack of small files at once, while others publish, archive or list.
        connections=(settings.workers + 1) * REQUESTS_AT_ONCE,
        timeout_seconds=settings.s3_timeout_seconds,
    )
    return S3Place(bucket=settings.root.bucket, prefix=settings.root.prefix, access=access)


def s3_place_of(settings: Settings, what: str) -> S3Place:
    """The same where only a bucket will do for `what`. Raises `SettingsError` elsewhere."""
    place = place_of(settings)
    if not isinstance(place, S3Place):
        raise SettingsError("LAKE_ROOT", f"{what} needs a lake in a bucket, and this one is {place}")
    return place


def event_queue(settings: Settings) -> EventQueue:
    """The queue that S3 tells arrivals to. Raises `SettingsError` where none is set."""
    # The AWS SDK takes a third of a second to load.
    from lake_pipeline.storage.s3_events import EventQueue

    if settings.events_queue_url is None:
        raise SettingsError(
            "LAKE_EVENTS_QUEUE_URL", "no event queue is set; `lake provision` makes one and tells its URL"
        )
    return EventQueue(settings.events_queue_url, s3_place_of(settings, "an event queue"))


def listed_inventory(settings: Settings, manifest_uri: str) -> Iterator[ObjectInfo]:
    """What an S3 Inventory lists of the lake. Raises `BadInventory`, here or while it is read."""
    from lake_pipeline.storage.s3_inventory import inventory_objects

    return inventory_objects(s3_place_of(settings, "an inventory"), manifest_uri)


def athena(settings: Settings) -> Athena:
    """How Athena is asked. Raises `SettingsError` where the lake is a directory."""
    from lake_pipeline.consume.athena import Athena

    s3_place_of(settings, "Athena")
    return Athena(
        access=AwsAccess(region=settings.aws_region),
        database=settings.glue_database,
        workgroup=settings.athena_workgroup,
        output=settings.athena_output,
        price=settings.athena_price,
    )


def provisioning_choices(settings: Settings) -> Choices:
    """What a person has decided about the lake on AWS. Raises `SettingsError` where the lake is a directory."""
    from lake_pipeline.provision.lake import Choices

    return Choices(
        place=s3_place_of(settings, "`lake provision`"),
        versioning=settings.versioning,
        tier_days=settings.tier_days,
        quarantine_days=settings.quarantine_days,
        glue_database=settings.glue_database,
        glue_job=settings.glue_job,
        glue_role=settings.glue_role,
        glue_worker=settings.glue_worker,
        glue_workers=settings.glue_workers,
        glue_minutes=settings.glue_minutes,
        glue_runs=settings.max_runs,
        ledger_secret=settings.ledger_secret,
        ledger_user=_user_of_tokens(settings),
        alert_topic=settings.alerts if settings.alerts and settings.alerts.startswith("arn:") else None,
        athena_workgroup=settings.athena_workgroup,
        athena_output=settings.athena_output,
    )


def ledger_url(settings: Settings) -> str:
    """The URL of the ledger: the one given, or that of the embedded PostgreSQL, which runs from then on."""
    if settings.ledger_secret is not None:
        from lake_pipeline.aws.secrets import database_url

        return database_url(settings.ledger_secret, region=settings.aws_region)
    return settings.ledger_url or embedded_url(settings.home, LEDGER_DATABASE)


def ledger_entrance(settings: Settings) -> Entrance:
    """How the given ledger is entered. The embedded one lets in whoever can reach its socket."""
    if settings.ledger_is_embedded:
        return Entrance()
    ca_file = str(settings.ledger_ca) if settings.ledger_ca else None
    return Entrance(ca_file=ca_file, token=partial(_token, settings) if settings.ledger_auth == "iam" else None)


def _token(settings: Settings, host: str, port: int, user: str) -> str:
    from lake_pipeline.aws.database import rds_token

    return rds_token(host=host, port=port, user=user, region=settings.aws_region)


def _user_of_tokens(settings: Settings) -> str | None:
    if settings.ledger_auth != "iam" or settings.ledger_url is None:
        return None
    return url_of(settings.ledger_url).username


def conversion_options(settings: Settings) -> ConversionOptions:
    """How records become rows. Without a last date it is tomorrow (UTC): clocks of senders may run ahead."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return ConversionOptions(
        date_field=settings.date_field,
        mode_field=settings.mode_field,
        default_mode=settings.default_mode,
        key_pattern=settings.key_pattern,
        first_date=settings.first_date,
        last_date=settings.last_date or tomorrow,
        time_zone=settings.time_zone,
        rules=contract_rules(settings),
        max_bad_share=settings.max_bad_share,
        truncated=settings.truncated,
        max_record_bytes=settings.max_record_bytes,
        part_bytes=settings.part_bytes,
        memory_bytes=settings.memory_bytes,
        workers=settings.workers,
    )


def contract_rules(settings: Settings) -> Rules:
    """The rules in the contract file, if there is one. Raises `SettingsError` that says what is wrong in it."""
    path = settings.contract_file
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
