"""Where Dagster keeps runs and events: PostgreSQL, at `LAKE_DAGSTER_URL` or in the embedded server of the lake.

dagster.yaml names this class, because its own syntax can't say "this variable, or else that server".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Self

from dagster import Field, Noneable
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.event_log.migration import ASSET_DATA_MIGRATIONS
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.migration import OPTIONAL_SCHEDULE_DATA_MIGRATIONS
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import stamp_alembic_rev
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import event_log
from dagster_postgres.utils import pg_alembic_config, retry_pg_creation_fn

from lake_pipeline.defs.event_log import LakeEventLog
from lake_pipeline.defs.in_flight import POOL
from lake_pipeline.ledger.embedded import embedded_url
from lake_pipeline.settings import Settings, load_settings

DATABASE = "dagster"
"""Its database in the embedded server, beside the ledger's."""

NO_TIMEOUT = 0
CONNECTION_SECONDS = 300
"""Firewalls and managed databases drop idle connections; younger ones than this are safe."""

MOST_CONNECTIONS = 20
"""Beside the one that is kept; the webserver's threads open them for a moment."""


_LAST_OF_EVENTS = list(ASSET_DATA_MIGRATIONS)[-1]
_LAST_OF_SCHEDULES = list(OPTIONAL_SCHEDULE_DATA_MIGRATIONS)[-1]
"""What Dagster notes last of new tables."""


class LakeInstanceStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage, at the place that the settings tell.

    With the embedded server this process counts as one of its users until it ends.
    """

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {
            "url": Field(Noneable(str), default_value=None, description="A PostgreSQL URL; else the settings tell."),
            "home": Field(Noneable(str), default_value=None, description="The folder of the embedded PostgreSQL."),
            "max_runs": Field(Noneable(int), default_value=None, description="Conversions at a time."),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        url = config_value["url"] or _url(config_value["home"])
        storage = cls(postgres_url=url, inst_data=inst_data)
        storage._event_log_storage = LakeEventLog(url)
        # By default it connects anew for each statement: 11 ms of the 55 ms that an event took, and a batch over
        # 84 partitions reports 336 events. The name says webserver, but what it does is keep one connection.
        storage.event_log_storage.optimize_for_webserver(
            statement_timeout=NO_TIMEOUT, pool_recycle=CONNECTION_SECONDS, max_overflow=MOST_CONNECTIONS
        )
        _finish_tables(storage)
        _limit_conversions(storage, config_value["max_runs"] or load_settings().max_runs)
        return storage


def storage_config(settings: Settings) -> dict[str, Any]:
    """The `storage` entry of a Dagster instance on these settings, whatever the environment says."""
    return {
        "custom": {
            "module": LakeInstanceStorage.__module__,
            "class": LakeInstanceStorage.__name__,
            "config": {"url": settings.dagster_url, "home": str(settings.home), "max_runs": settings.max_runs},
        }
    }


def _finish_tables(storage: LakeInstanceStorage) -> None:
    """Make what a process that was killed while it made Dagster's tables did not come to.

    Dagster makes them one by one, and afterwards looks for one of them: without the others it would never start again.
    What is there already is left alone.
    """
    runs, events, schedules = storage._run_storage, storage._event_log_storage, storage._schedule_storage
    for metadata in (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata):
        retry_pg_creation_fn(partial(metadata.create_all, events._engine))
    if events.has_secondary_index(_LAST_OF_EVENTS) and schedules.has_built_index(_LAST_OF_SCHEDULES):
        return
    if events.alembic_version()[0] is None:
        with events._connect() as connection:
            stamp_alembic_rev(pg_alembic_config(event_log.__file__), connection)
    for part in (runs, schedules):
        part.migrate()
        part.optimize()
    events.reindex_events()
    events.reindex_assets()


def _limit_conversions(storage: LakeInstanceStorage, most: int) -> None:
    """Make LAKE_MAX_RUNS the limit of the pool of conversions: whoever asked for them, sensor, people or backfills.

    Here, because a pool that gets its limit with its first run does not hold for the first runs.
    """
    events = storage.event_log_storage
    if {limit.name: limit.limit for limit in events.get_pool_limits()}.get(POOL) != most:
        events.set_concurrency_slots(POOL, most)


def _url(home: str | None) -> str:
    if home is not None:
        return embedded_url(Path(home), DATABASE)
    settings = load_settings()
    return settings.dagster_url or embedded_url(settings.home, DATABASE)
