"""An inspection finds what a conversion would do, and better settings, without writing anything."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.contract.rules import PathRule, Rules
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.errors import NothingToInspect
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.usecases.inspection import sample
from lake_pipeline.usecases.inspection.findings import Inspection
from lake_pipeline.usecases.inspection.inspect import inspect, inspection_json
from lake_pipeline_tests.support.factories import OPTIONS, ndjson

RECORDS = [
    {"happened_at": f"2024-01-0{1 + number % 2}T10:00:00Z", "kind": ("a", "b")[number % 2], "n": number}
    for number in range(20)
]


def inspected(
    root: Path, files: Mapping[str, bytes], options: ConversionOptions = OPTIONS, key: str = ""
) -> Inspection:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return inspect(DirectoryStore(root), key, options)


def listing(root: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*"))


def test_settings_that_fit_are_found(tmp_path: Path) -> None:
    found = inspected(tmp_path, {"a.json": ndjson(*RECORDS)})
    assert (found.records, found.published, found.quarantined) == (20, 0, 20)
    assert [(fact.reason, fact.records) for fact in found.quarantine] == [("no_date", 20)]
    assert found.settings == {"LAKE_DATE_FIELD": "happened_at", "LAKE_MODE_FIELD": "kind"}
    assert [(candidate.path, candidate.records, candidate.of) for candidate in found.dates] == [("happened_at", 20, 20)]


def test_the_found_settings_publish_what_is_promised(tmp_path: Path) -> None:
    options = replace(OPTIONS, date_field="happened_at", mode_field="kind")
    found = inspected(tmp_path, {"a.json": ndjson(*RECORDS)}, options)
    assert (found.published, found.quarantined, found.settings) == (20, 0, {})
    assert found.partitions == {(date(2024, 1, 1), "a"): 10, (date(2024, 1, 2), "b"): 10}
    assert [(column.name, column.type, column.share) for column in found.columns] == [
        ("happened_at", "string", 1.0),
        ("kind", "string", 1.0),
        ("n", "int64", 1.0),
    ]


def test_nothing_is_written(tmp_path: Path) -> None:
    inspected(tmp_path, {"a.json": ndjson(*RECORDS)})
    before = listing(tmp_path)
    inspect(DirectoryStore(tmp_path), "", OPTIONS)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "layout", "compression"),
    [
        (ndjson(*RECORDS), "lines", "none"),
        (gzip.compress(ndjson(*RECORDS)), "lines", "gzip"),
        (json.dumps(RECORDS).encode(), "an array", "none"),
        (json.dumps(RECORDS[0], indent=1).encode(), "documents", "none"),
    ],
)
def test_layout_and_compression_are_shown(tmp_path: Path, content: bytes, layout: str, compression: str) -> None:
    [facts] = inspected(tmp_path, {"a": content}).files
    assert (facts.layout, facts.compression, facts.problem) == (layout, compression, None)
    assert facts.records in (1, 20)


def test_files_that_cannot_be_read_are_shown_beside_the_others(tmp_path: Path) -> None:
    broken = gzip.compress(ndjson(*RECORDS))
    found = inspected(tmp_path, {"a.json": ndjson(*RECORDS), "b.gz": broken[:10] + b"\xff" * 40, "c.json": b" \n"})
    problems = {facts.key: facts.problem for facts in found.files}
    assert problems["a.json"] is None
    assert problems["b.gz"]
    assert problems["c.json"] == "there is no record in it"
    assert found.records == 20


def test_numbers_that_are_no_dates_are_no_candidates(tmp_path: Path) -> None:
    records = [{"n": 1_700_000_000 + number, "ts": 1_700_000_000 + number} for number in range(5)]
    found = inspected(tmp_path, {"a.json": ndjson(*records)})
    assert [candidate.path for candidate in found.dates] == ["ts"]


def test_fields_with_many_values_are_no_modes(tmp_path: Path) -> None:
    records = [{"id": f"x{number}", "type": "a"} for number in range(200)]
    found = inspected(tmp_path, {"a.json": ndjson(*records)})
    assert [candidate.path for candidate in found.modes] == ["type"]


def test_warnings_name_what_surprises_later(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"id": 1 << 60, "api_key": f"s3cr3t{number}", "by_user": {f"user{number}x{key}": 1 for key in range(4)}}
        for number in range(60)
    ]
    warnings = "\n".join(inspected(tmp_path, {"a.json": ndjson(*records)}).warnings)
    assert "id has integers above 2^53" in warnings
    assert "api_key looks like a secret" in warnings
    assert "the keys of the objects at by_user are data" in warnings


def test_an_envelope_is_noticed(tmp_path: Path) -> None:
    content = json.dumps({"Records": RECORDS}).encode()
    [warning] = inspected(tmp_path, {"a.json": content}).warnings
    assert "about 20 objects in the list Records" in warning


def test_secrets_and_excluded_fields_are_not_shown(tmp_path: Path) -> None:
    records = [{"at": "2024-01-01", "password": "correcthorse", "ssn": "078-05-1120"}] * 5
    options = replace(OPTIONS, rules=Rules(paths={("ssn",): PathRule(exclude=True)}))
    text = json.dumps(inspection_json(inspected(tmp_path, {"a.json": ndjson(*records)}, options)), default=str)
    assert "correcthorse" not in text
    assert "078-05-1120" not in text


def test_the_sample_is_bounded_however_large_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "FILE_BYTES", 4096)
    monkeypatch.setattr("lake_pipeline.usecases.inspection.inspect.FILE_BYTES", 4096)
    [facts] = inspected(tmp_path, {"a.json": ndjson(*RECORDS) * 1000}).files
    assert facts.text_bytes == 4096
    assert 0 < facts.records < 100


def test_a_single_file_or_a_folder_is_inspected(tmp_path: Path) -> None:
    files = {"2024/a.json": ndjson(RECORDS[0]), "2024/b.json": ndjson(RECORDS[1]), "2025/c.json": ndjson(RECORDS[2])}
    assert inspected(tmp_path, files).listed_files == 3
    assert inspected(tmp_path, files, key="2024").listed_files == 2
    assert inspected(tmp_path, files, key="2024/b.json").listed_files == 1
    with pytest.raises(NothingToInspect, match="2026"):
        inspected(tmp_path, files, key="2026")
