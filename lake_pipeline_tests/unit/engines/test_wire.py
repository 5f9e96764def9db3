"""Requests and reports are unchanged after the way to a Glue run and back."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

from lake_pipeline.contract.rules import Decode, PathRule, Policy, Rules
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.request import ConversionOptions, ConversionRequest, Truncated
from lake_pipeline.engines.wire import (
    options_from_json,
    options_to_json,
    report_from_json,
    report_to_json,
    request_from_json,
    request_to_json,
)
from lake_pipeline.model.files import RawFile
from lake_pipeline_tests.support.factories import BATCH, LakeOnDisk
from lake_pipeline_tests.support.parity import SETS

OPTIONS = ConversionOptions(
    date_field="published",
    date_formats="us",
    default_date="week",
    mode_field="meta.status",
    default_mode="none",
    key_pattern=r"(?P<date>\d{4}-\d{2}-\d{2})",
    first_date=date(1, 1, 1),
    last_date=date(2031, 2, 3),
    time_zone="Europe/Berlin",
    rules=Rules(
        policy=Policy.FREEZE,
        max_depth=3,
        max_columns=7,
        max_fields=11,
        paths={
            ("a", "b.c"): PathRule(policy=Policy.RESCUE, pin=Shape(Kind.DECIMAL, digits=(12, 3)), rename="x"),
            ("d",): PathRule(exclude=True),
            ("e",): PathRule(decode=Decode.MONGO),
            ("f",): PathRule(pin=Shape(Kind.INT), from_text=True),
        },
    ),
    max_bad_share=0.25,
    truncated=Truncated.KEEP,
    max_record_bytes=1,
    max_unpacked_ratio=5,
    max_blank_bytes=6,
    zstd_window=7,
    part_bytes=2,
    memory_bytes=3,
    workers=4,
)


def test_options_survive_the_way_to_json_and_back() -> None:
    defaults = ConversionOptions()
    assert [
        field.name for field in fields(defaults) if getattr(OPTIONS, field.name) == getattr(defaults, field.name)
    ] == []
    assert options_from_json(json.loads(json.dumps(options_to_json(OPTIONS)))) == OPTIONS


def test_missing_options_have_their_defaults() -> None:
    assert options_from_json({"date_field": "day"}) == ConversionOptions(date_field="day")


def test_a_request_and_its_report_survive_the_way_to_json_and_back(tmp_path: Path) -> None:
    converted = LakeOnDisk(tmp_path).convert(SETS["dirty"](), max_bad_share=0.2)
    request = ConversionRequest(
        batch_id=BATCH,
        files=(*converted.files, RawFile(file_id=9, key="ä", etag="e", size=1, archive_key="b")),
        contract=converted.contract,
        options=OPTIONS,
        widens_from=3,
        shard="s",
        lake_id="l",
    )
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request
    without = replace(request, contract=None)
    assert request_from_json(json.loads(json.dumps(request_to_json(without)))) == without
    assert report_from_json(json.loads(json.dumps(report_to_json(converted.report)))) == converted.report
