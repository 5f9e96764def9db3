"""Conservation as a property: generated documents, with injected damage, compared with a plain reference based on
`json`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from lake_pipeline.convert.kernel import blocks
from lake_pipeline_tests.support.factories import LakeOnDisk, reject_everything
from lake_pipeline_tests.support.reference import alike, rebuilt, reference

pytestmark = pytest.mark.slow

KEY = "2026/week06/a.json"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
keys = st.sampled_from(["a", "b", "A", "a_b", "x.y", "", "mode", "year", "_record", "ü"])
scalars = (
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
dates = st.sampled_from(["2026-02-03", "2026-02-03T23:30:00-02:00", "yesterday", None, 1770076800])
records = st.fixed_dictionaries({"event_time": dates, "v": json_values}, optional={"w": json_values, "mode": texts})
broken = st.sampled_from([b"{", b"null", b"[1]", b'{"a":1', b'{"a":tru}', b'"text"', b'{"a":"\xff"}', b"\x00"])
lines = st.lists(records.map(lambda record: json.dumps(record).encode()) | broken, max_size=30)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=lines, share=st.sampled_from([0.2, 1.0]))
def test_every_record_is_published_or_quarantined_and_every_value_is_kept(lines: list[bytes], share: float) -> None:
    lines = [b'{"event_time":"2026-02-03"}', *lines]  # the layout is detected from the first line
    with tempfile.TemporaryDirectory() as folder:
        converted = LakeOnDisk(Path(folder)).convert({KEY: b"\n".join(lines)}, max_bad_share=share)
        outcome = converted.outcome(KEY)
        rows = {row["_record"]: row for row in converted.rows()}
        quarantined = {row["record"]: row for row in converted.quarantined()}
        broken = [index for index, line in enumerate(lines) if reference(line) is None]
        assert outcome.read == len(lines)
        if len(broken) > share * len(lines):
            assert (outcome.published, rows, quarantined) == (0, {}, {})
            return
        assert outcome.published == len(rows)
        assert outcome.quarantined == len(quarantined)
        assert sorted([*rows, *quarantined]) == list(range(len(lines)))
        assert set(broken) <= set(quarantined)
        for index, row in rows.items():
            record = reference(lines[index])
            assert record is not None
            assert alike(rebuilt(row, converted), record)
        for index, row in quarantined.items():
            assert row["raw"] == lines[index]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(generated=st.lists(records, min_size=1, max_size=20))
def test_the_fast_and_the_tolerant_parser_agree_on_every_record(generated: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        lake = LakeOnDisk(Path(folder))
        content = b"\n".join(json.dumps(record).encode() for record in generated)
        contract = lake.convert({KEY: content}).contract.with_version(1)
        fast = lake.convert({KEY: content}, contract=contract).rows()
        patch.setattr(blocks, "parse_fast", reject_everything)
        assert lake.convert({KEY: content}, contract=contract).rows() == fast
