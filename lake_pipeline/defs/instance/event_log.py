"""Dagster's event log in PostgreSQL, fast enough for runs over hundreds of partitions.

Such a run plans, materializes and checks each of its partitions, and Dagster stores each event by itself: 15 s of the
19 s of a run over a year without files. Here related events are stored in batches. The rows stay as Dagster defines
them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster_postgres import PostgresEventLogStorage

BATCH_SIZE = 500
"""Events stored together: all that is planned for a year of one mode, 366 materializations and 6 checks."""

StoredEvent: TypeAlias = tuple[dg.EventLogEntry, int]
"""An event and its storage id."""


class LakeEventLog(PostgresEventLogStorage):
    """The event log, with batches of any kind of event, and planned checks stored in one statement."""

    def register_instance(self, instance: Any) -> None:
        """Turn on batches for `instance`."""
        super().register_instance(instance)
        configured = instance._get_event_batch_size()
        # Dagster reads the size from an environment variable only, and a library must not change the environment.
        instance._get_event_batch_size = lambda: configured or BATCH_SIZE

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store all of `events` or none. If this raises, Dagster stores them one by one."""
        with self.index_transaction() as connection:
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            rows = connection.execute(insert, [self._event_to_row(event) for event in events])
            stored = list(zip(events, [int(row[0]) for row in rows], strict=True))
            self._update_assets(connection, [item for item in stored if item[0].get_dagster_event().asset_key])
            self._insert_planned_checks(connection, _of(stored, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED))
            self._replace_planned_checks(connection, _of(stored, dg.DagsterEventType.ASSET_CHECK_EVALUATION))

    def store_asset_check_event(self, event: dg.EventLogEntry, event_id: int | None) -> None:
        """Store the check rows of an event outside of a batch."""
        if event.dagster_event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED or event_id is None:
            super().store_asset_check_event(event, event_id)
            return
        with self.index_transaction() as connection:
            self._insert_planned_checks(connection, [(event, event_id)])

    def _update_assets(self, connection: Any, stored: Sequence[StoredEvent]) -> None:
        if not stored:
            return
        self._store_asset_event_tags(
            connection, [event for event, _ in stored], [storage_id for _, storage_id in stored]
        )
        # An asset has one row, which refers to its last event.
        latest = {event.get_dagster_event().asset_key: (event, storage_id) for event, storage_id in stored}
        for event, storage_id in latest.values():
            self._store_asset_event(connection, event, storage_id)

    def _insert_planned_checks(self, connection: Any, stored: Sequence[StoredEvent]) -> None:
        rows = [row for event, storage_id in stored for row in self._planned_rows(event, storage_id)]
        if rows:
            connection.execute(AssetCheckExecutionsTable.insert(), rows)

    def _planned_rows(self, event: dg.EventLogEntry, storage_id: int) -> list[dict[str, Any]]:
        planned = cast(AssetCheckEvaluationPlanned, event.get_dagster_event().event_specific_data)
        subset = planned.partitions_subset
        row = {
            **self._check_row(planned, event, storage_id),
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            # The row of a partition does not need the keys of all others: 366 rows of 13 KB per check took 4 s.
            "evaluation_event": dg.serialize_value(_without_partitions(event, planned)),
        }
        return [{**row, "partition": key} for key in (subset.get_partition_keys() if subset else [None])]

    def _replace_planned_checks(self, connection: Any, stored: Sequence[StoredEvent]) -> None:
        """Results replace the planned rows. All of them have a partition: others are not stored in batches."""
        table, rows = AssetCheckExecutionsTable, defaultdict[tuple[str, str, str], list[dict[str, Any]]](list)
        for event, storage_id in stored:
            row = self._result_row(event, storage_id)
            rows[row["asset_key"], row["check_name"], row["run_id"]].append(row)
        for (asset, check, run), results in rows.items():
            connection.execute(
                table.delete().where(
                    table.c.asset_key == asset,
                    table.c.check_name == check,
                    table.c.run_id == run,
                    table.c.partition.in_([row["partition"] for row in results]),
                )
            )
            connection.execute(table.insert(), results)

    def _result_row(self, event: dg.EventLogEntry, storage_id: int) -> dict[str, Any]:
        result = cast(dg.AssetCheckEvaluation, event.get_dagster_event().event_specific_data)
        status = AssetCheckExecutionRecordStatus.SUCCEEDED if result.passed else AssetCheckExecutionRecordStatus.FAILED
        target = result.target_materialization_data
        return {
            **self._check_row(result, event, storage_id),
            "partition": result.partition,
            "execution_status": status.value,
            "evaluation_event": dg.serialize_value(event),
            "materialization_event_storage_id": target.storage_id if target else None,
        }

    def _check_row(
        self, check: dg.AssetCheckEvaluation | AssetCheckEvaluationPlanned, event: dg.EventLogEntry, storage_id: int
    ) -> dict[str, Any]:
        return {
            "asset_key": check.asset_key.to_string(),
            "check_name": check.check_name,
            "run_id": event.run_id,
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": storage_id,
        }


def _of(stored: Iterable[StoredEvent], kind: dg.DagsterEventType) -> list[StoredEvent]:
    return [item for item in stored if item[0].dagster_event_type is kind]


def _without_partitions(event: dg.EventLogEntry, planned: AssetCheckEvaluationPlanned) -> dg.EventLogEntry:
    unpartitioned = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=event.get_dagster_event()._replace(event_specific_data=unpartitioned))
