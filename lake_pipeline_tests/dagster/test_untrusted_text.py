"""What Dagster stores and shows about a lake whose names, fields and values attack browsers and logs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
import pytest

from lake_pipeline.defs.alerts.run_failures import alert_of
from lake_pipeline.escaping.chat import chat_message
from lake_pipeline_tests.dagster.conftest import Platform
from lake_pipeline_tests.support.hostile import DAY, FORGED, hostile_files
from lake_pipeline_tests.support.markdown_reader import active, shown
from lake_pipeline_tests.support.payloads import unsafe_characters


@pytest.fixture(autouse=True)
def _own_log_records() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def _markdown_of(metadata: Iterable[Any]) -> Iterator[str]:
    for value in metadata:
        if isinstance(value, dg.MarkdownMetadataValue):
            yield value.value or ""
        elif isinstance(value, dg.TableSchemaMetadataValue):
            yield from (column.description or "" for column in value.schema.columns)


def _plain_of(metadata: Iterable[Any]) -> Iterator[str]:
    for value in metadata:
        if isinstance(value, dg.TextMetadataValue):
            yield value.value or ""
        elif isinstance(value, dg.TableColumnLineageMetadataValue):
            for sources in value.value.deps_by_column.values():
                yield from (source.column_name for source in sources)


def _check_markdown(source: str) -> None:
    assert unsafe_characters(source) == set()
    assert active(source) == set()


def _check_plain(text: str) -> None:
    assert unsafe_characters(text) == set()
    assert [line for line in text.split("\n") if line.startswith(FORGED)] == []


def _check_events(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Check all that a run stored; returns the kinds of its events."""
    kinds = set[str]()
    for entry in instance.all_logs(run.run_id):
        _check_plain(entry.user_message)
        if entry.dagster_event is None:
            continue
        event = entry.dagster_event
        kinds.add(event.event_type_value)
        if event.is_step_materialization:
            metadata = event.step_materialization_data.materialization.metadata.values()
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            _check_markdown(evaluation.description or "")
            metadata = evaluation.metadata.values()
        else:
            continue
        for source in _markdown_of(metadata):
            _check_markdown(source)
        for text in _plain_of(metadata):
            _check_plain(text)
    return kinds


def test_dagster_shows_nothing_from_data_as_markup_and_no_line_is_forged(platform: Platform) -> None:
    platform.land(hostile_files())
    batch = platform.run_batch()
    kinds = _check_events(platform.instance, batch.dagster_run)
    assert {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"} <= kinds
    samples = platform.metadata(f"{DAY}|live")["quarantined records"]
    assert "![b](http" in shown(samples), "the value itself is shown, as code"


def test_a_failed_run_and_its_alert_have_nothing_from_data_as_markup(platform: Platform) -> None:
    platform.land({key: content for key, content in hostile_files().items() if "week06" in key})
    platform.ingest_by_command()
    shutil.rmtree(platform.settings.storage.directory / "raw-json-data-processed")
    failed = platform.materialize(f"{DAY}|live")
    assert not failed.success
    _check_events(platform.instance, failed.dagster_run)
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=next(event for event in failed.all_events if event.is_run_failure),
        dagster_instance=platform.instance,
        dagster_run=failed.dagster_run,
    ).for_run_failure()
    alert = alert_of(context, "https://dagster.example.org")
    assert "The rebuild failed" in alert.text
    _check_plain(alert.lines)
    message = chat_message(alert.subject, alert.text, alert.link)
    # Without the subject, which is bold, and the link.
    _check_markdown(message.partition("\n")[2].rpartition("\n")[0])
    fsck = platform.definitions().resolve_job_def("lake_fsck_job")
    audit = fsck.execute_in_process(instance=platform.instance, raise_on_error=False)
    assert "ASSET_MATERIALIZATION" in _check_events(platform.instance, audit.dagster_run)
