"""Excluded fields: their values are in nothing that is shown about quarantined records, and in no evidence."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lake_pipeline.contract.rules_file import rules_from_toml
from lake_pipeline.defs.conversion.metadata import NOT_SHOWN, run_metadata
from lake_pipeline.usecases.checks.quarantine_sample import sample
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.reports.contract import describe
from lake_pipeline_tests.support.factories import OPTIONS, ndjson
from lake_pipeline_tests.support.lakes import ingest, land

KEY = "2026/week06/a.json"
SECRET = "123-45-6789"

RULES = rules_from_toml("[paths.'user.ssn']\nexclude = true\n[paths.event_time]\nexclude = true")

RECORDS: list[dict[str, Any]] = [
    {"mode": "live", "user": {"ssn": SECRET, "name": "Zoë"}, "n": 1},
    {"event_time": SECRET, "mode": "live", "user": {"name": "x"}},
    {"event_time": "1999-12-31", "mode": "live", "user": {"ssn": {"of": SECRET}}},
    *({"event_time": "2026-02-03", "mode": "live", "user": {"ssn": SECRET}, "n": n} for n in range(20)),
]


@pytest.fixture
def lake(empty_lake: Lake, root: Path) -> Lake:
    repeated = b'{"user": {"ssn": "' + SECRET.encode() + b'", "ssn": 2, "name": "y"}}\n'
    malformed = b'{"user": {"ssn": "' + SECRET.encode() + b'"}\n'
    land(root, {KEY: ndjson(*RECORDS) + repeated + malformed})
    return replace(empty_lake, options=replace(OPTIONS, rules=RULES))


def test_samples_evidence_and_logs_have_no_value_of_an_excluded_field(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        [batch] = ingest(lake)
    samples = sample(lake, [batch.batch_id], most=10)
    assert [(record.reason, record.raw) for record in sorted(samples, key=lambda record: record.record)] == [
        ("no_date", '{"mode":"live","user":{"name":"Zoë"},"n":1}'.encode()),
        ("invalid_date", b'{"mode":"live","user":{"name":"x"}}'),
        ("date_out_of_range", b'{"mode":"live","user":{}}'),
        ("no_date", b'{"user":{"name":"y"}}'),
        ("invalid_json", None),
    ]
    metadata = run_metadata([batch], samples, lake.store.location)["quarantined records"].value
    assert isinstance(metadata, str)
    assert NOT_SHOWN in metadata
    shown = [metadata, caplog.text, str(describe(lake)), *(record.detail for record in samples)]
    assert [text for text in shown if SECRET in text or "1999" in text] == []


def test_the_quarantine_keeps_the_bytes_of_the_record(lake: Lake, root: Path) -> None:
    ingest(lake)
    [stored] = (root / "quarantine").rglob("*.parquet")
    rows = pq.read_table(stored, partitioning=None).to_pylist()
    assert sum(SECRET.encode() in row["raw"] for row in rows) == 5
    assert [row["detail"] for row in rows if SECRET in row["detail"] or "1999" in row["detail"]] == []


def test_without_such_a_rule_samples_have_all_bytes(empty_lake: Lake, lake: Lake) -> None:
    [batch] = ingest(empty_lake)
    raw = [record.raw or b"" for record in sample(lake=empty_lake, batch_ids=[batch.batch_id], most=10)]
    assert sum(SECRET.encode() in record for record in raw) == 5
