"""Dagster's storage of runs and events: PostgreSQL at `LAKE_DAGSTER_URL`, or in the lake's embedded server.

dagster.yaml names this class, because its syntax cannot express "this variable, or else that server".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import dagster as dg
from dagster._core.storage.event_log.migration import ASSET_DATA_MIGRATIONS
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.migration import OPTIONAL_SCHEDULE_DATA_MIGRATIONS
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import stamp_alembic_rev
from dagster_postgres import DagsterPostgresStorage, PostgresScheduleStorage
from dagster_postgres.event_log import event_log
from dagster_postgres.utils import pg_alembic_config, retry_pg_creation_fn

from lake_pipeline.defs.conversion.runs import POOL
from lake_pipeline.defs.instance.event_log import LakeEventLog
from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.probe import check_database
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.settings.environment import server_environment

DATABASE = "dagster"
"""Dagster's database in the embedded server; the ledger has another one."""

NO_TIMEOUT = 0
POOL_RECYCLE_SECONDS = 300
"""Firewalls and managed databases drop idle connections; younger ones are safe."""

MAX_OVERFLOW = 20
"""Connections in addition to the pooled one; the threads of the webserver open them for a moment."""

_LAST_EVENT_MIGRATION = list(ASSET_DATA_MIGRATIONS)[-1]
_LAST_SCHEDULE_MIGRATION = list(OPTIONAL_SCHEDULE_DATA_MIGRATIONS)[-1]
"""The last migrations that Dagster records for new tables."""


class LakeInstanceStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage, at the location given by the settings.

    With the embedded server this process counts as one of its users until it ends.
    """

    def __init__(self, postgres_url: str, inst_data: Any = None) -> None:
        super().__init__(postgres_url=postgres_url, inst_data=inst_data)
        self._lake_event_log = LakeEventLog(postgres_url)

    @property
    def event_log_storage(self) -> LakeEventLog:
        """The event log with batches, in place of Dagster's."""
        return self._lake_event_log

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        return {
            "url": dg.Field(dg.Noneable(str), default_value=None, description="A PostgreSQL URL; default: settings."),
            "home": dg.Field(
                dg.Noneable(str), default_value=None, description="The folder of the embedded PostgreSQL."
            ),
            "max_runs": dg.Field(dg.Noneable(int), default_value=None, description="Concurrent conversion runs."),
        }

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """The storage at the configured location. Raises `LedgerUnavailable` if the database can't be used."""
        url = config_value["url"] or _url(config_value["home"])
        try:
            return cls._opened(url, inst_data, config_value)
        except Exception:
            # Dagster wraps what the driver raises, in one way or another.
            check_database(url, "LAKE_DAGSTER_URL")
            raise

    @classmethod
    def _opened(cls, url: str, inst_data: Any, config_value: Any) -> Self:
        storage = cls(url, inst_data)
        # By default Dagster opens a connection for each statement: 11 ms of the 55 ms per event, and a batch over 84
        # partitions reports 336 events. Despite its name, this method keeps one connection open.
        storage.event_log_storage.optimize_for_webserver(
            statement_timeout=NO_TIMEOUT, pool_recycle=POOL_RECYCLE_SECONDS, max_overflow=MAX_OVERFLOW
        )
        _complete_tables(storage)
        _limit_conversions(storage, config_value["max_runs"] or load_settings().dagster.max_runs)
        return storage


def storage_config(settings: Settings) -> dict[str, Any]:
    """The `storage` entry of a Dagster instance with these settings, which override the environment."""
    return {
        "custom": {
            "module": LakeInstanceStorage.__module__,
            "class": LakeInstanceStorage.__name__,
            "config": {
                "url": settings.dagster.dagster_url,
                "home": str(settings.storage.home),
                "max_runs": settings.dagster.max_runs,
            },
        }
    }


def _complete_tables(storage: LakeInstanceStorage) -> None:
    """Create the tables that are missing because a process was killed while it created Dagster's tables.

    Dagster creates them one by one and later checks only for one of them, so it would never start again. Existing
    tables are not changed.
    """
    events, schedules = storage.event_log_storage, cast(PostgresScheduleStorage, storage.schedule_storage)
    for metadata in (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata):
        retry_pg_creation_fn(partial(metadata.create_all, events._engine))
    if events.has_secondary_index(_LAST_EVENT_MIGRATION) and schedules.has_built_index(_LAST_SCHEDULE_MIGRATION):
        return
    if events.alembic_version()[0] is None:
        with events._connect() as connection:
            stamp_alembic_rev(pg_alembic_config(event_log.__file__), connection)
    for part in (storage.run_storage, schedules):
        part.migrate()
        part.optimize()
    events.reindex_events()
    events.reindex_assets()


def _limit_conversions(storage: LakeInstanceStorage, max_runs: int) -> None:
    """Make LAKE_MAX_RUNS the limit of the conversion pool, for runs of the sensor, of people and of backfills.

    It is set here because a limit that is set with the pool's first run does not apply to the first runs.
    """
    events = storage.event_log_storage
    if {limit.name: limit.limit for limit in events.get_pool_limits()}.get(POOL) != max_runs:
        events.set_concurrency_slots(POOL, max_runs)


def _url(home: str | None) -> str:
    if home is not None:
        return embedded_url(Path(home), DATABASE, environment=server_environment())
    settings = load_settings()
    return settings.dagster.dagster_url or embedded_url(
        settings.storage.home, DATABASE, environment=server_environment()
    )
