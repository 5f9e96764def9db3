"""Dagster's event log in PostgreSQL, fast enough for runs over hundreds of partitions.

Such a run plans, materializes and checks each of its partitions, and Dagster stores all of it one by one: of the 19 s
that a run over a year without files took, 15 were that. Here events that belong together are stored together; what is
in the rows, and who reads them, stays Dagster's business.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

from dagster import DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._serdes import serialize_value
from dagster_postgres import PostgresEventLogStorage

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""Where Dagster looks for how many events are stored together; there is no other switch, and without it none are."""

TOGETHER = "500"
"""All that is planned for a year of a mode: 366 materializations and 6 checks."""

Stored: TypeAlias = tuple[EventLogEntry, int]
"""An event and its number in the log."""


class LakeEventLog(PostgresEventLogStorage):
    """The event log, with batches of any kind of event and with planned checks that cost what one event costs."""

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        os.environ.setdefault(BATCH_VARIABLE, TOGETHER)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All of `events`, or none of them: Dagster stores them one by one where this raises."""
        with self.index_transaction() as connection:
            # So the numbers come back in the order of the events.
            numbered = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            rows = connection.execute(numbered, [self._event_to_row(event) for event in events])
            stored = list(zip(events, [int(row[0]) for row in rows], strict=True))
            self._note_assets(connection, [each for each in stored if each[0].get_dagster_event().asset_key])
            self._note_planned_checks(connection, _of(stored, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED))
            self._note_checks(connection, _of(stored, DagsterEventType.ASSET_CHECK_EVALUATION))

    def store_asset_check_event(self, event: EventLogEntry, event_id: int | None) -> None:
        """What an event of a check outside of a batch says of the check."""
        if event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED or event_id is None:
            super().store_asset_check_event(event, event_id)
            return
        with self.index_transaction() as connection:
            self._note_planned_checks(connection, [(event, event_id)])

    def _note_assets(self, connection: Any, stored: Sequence[Stored]) -> None:
        if not stored:
            return
        self._store_asset_event_tags(connection, [event for event, _ in stored], [number for _, number in stored])
        # An asset has one entry, which tells of its last event.
        for event, number in {
            event.get_dagster_event().asset_key: (event, number) for event, number in stored
        }.values():
            self._store_asset_event(connection, event, number)

    def _note_planned_checks(self, connection: Any, stored: Sequence[Stored]) -> None:
        rows = [row for event, number in stored for row in self._planned_rows(event, number)]
        if rows:
            connection.execute(AssetCheckExecutionsTable.insert(), rows)

    def _planned_rows(self, event: EventLogEntry, number: int) -> list[dict[str, Any]]:
        planned = cast(AssetCheckEvaluationPlanned, event.get_dagster_event().event_specific_data)
        subset = planned.partitions_subset
        row = {
            **self._check_row(planned, event, number),
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            # The row of a partition need not name all the others: 366 of 13 KB each, for each check, took 4 s.
            "evaluation_event": serialize_value(_without_partitions(event, planned)),
        }
        return [{**row, "partition": key} for key in (subset.get_partition_keys() if subset else [None])]

    def _note_checks(self, connection: Any, stored: Sequence[Stored]) -> None:
        """Results take the place of what was planned. They all have a partition: others come without a batch."""
        table, rows = AssetCheckExecutionsTable, defaultdict[tuple[str, str, str], list[dict[str, Any]]](list)
        for event, number in stored:
            row = self._result_row(event, number)
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

    def _result_row(self, event: EventLogEntry, number: int) -> dict[str, Any]:
        result = cast(AssetCheckEvaluation, event.get_dagster_event().event_specific_data)
        status = AssetCheckExecutionRecordStatus.SUCCEEDED if result.passed else AssetCheckExecutionRecordStatus.FAILED
        target = result.target_materialization_data
        return {
            **self._check_row(result, event, number),
            "partition": result.partition,
            "execution_status": status.value,
            "evaluation_event": serialize_value(event),
            "materialization_event_storage_id": target.storage_id if target else None,
        }

    def _check_row(
        self, of: AssetCheckEvaluation | AssetCheckEvaluationPlanned, event: EventLogEntry, number: int
    ) -> dict[str, Any]:
        return {
            "asset_key": of.asset_key.to_string(),
            "check_name": of.check_name,
            "run_id": event.run_id,
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": number,
        }


def _of(stored: Iterable[Stored], kind: DagsterEventType) -> list[Stored]:
    return [each for each in stored if each[0].dagster_event_type is kind]


def _without_partitions(event: EventLogEntry, planned: AssetCheckEvaluationPlanned) -> EventLogEntry:
    alone = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=event.get_dagster_event()._replace(event_specific_data=alone))
