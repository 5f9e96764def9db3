"""The promises of rules for every row: policies, pins, names, exclusions, and equal results from both parsers."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, reject, settings

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.rules import PathRule, Policy, Rules
from lake_pipeline.contract.rules_file import rules_from_toml
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.kernel import blocks
from lake_pipeline.errors import SettingsError
from lake_pipeline.model.manifest import NOTHING_TO_PUBLISH
from lake_pipeline_tests.conformance.test_conservation import json_values, keys, texts
from lake_pipeline_tests.support.factories import Converted, LakeOnDisk, ndjson, reject_everything, values
from lake_pipeline_tests.support.reference import alike, rebuilt, reference

KEY = "2026/week06/a.json"
DAY = "2026-02-03T10:00:00Z"
HEAD = b'{"event_time":"2026-02-03","mode":"live",'


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path)


def record(**fields: object) -> dict[str, object]:
    return {"event_time": DAY, "mode": "live", **fields}


@pytest.fixture(params=["fast", "tolerant"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything is promised for both parsers."""
    if request.param == "tolerant":
        monkeypatch.setattr(blocks, "parse_fast", reject_everything)
    return str(request.param)


def test_json_text_is_stored_exactly_as_written(lake: LakeOnDisk, parser: str) -> None:
    written = [
        '{"b": 1.50, "a":[1e400,  -0.0, 12345678901234567890123],"b":{"ü":"\\u00fc\\/"}}',
        '"text"',
        "17",
        "true",
        "[]",
        '"\\ud800"',
    ]
    lines = b"\n".join(HEAD + b'"p":' + text.encode() + b"}" for text in written)
    converted = lake.convert({KEY: lines}, rules=rules_from_toml('[paths.p]\nkeep="json"'))
    assert values(converted.rows(), "p", "_rescued") == [(text, None) for text in written]


def test_null_is_a_missing_key_in_a_json_column_and_repeated_keys_are_rescued(lake: LakeOnDisk, parser: str) -> None:
    lines = HEAD + b'"p":null}\n' + HEAD + b'"q":1}\n' + HEAD + b'"p":1,"p":{"a":2}}\n' + HEAD + b'"p":{"x":NaN}}\n'
    converted = lake.convert({KEY: lines}, rules=rules_from_toml('[paths.p]\ntype="json"'))
    assert values(converted.rows(), "p", "_rescued") == [
        (None, None),
        (None, None),
        ('{"a":2}', '{"p[earlier]":[1]}'),
        (None, '{"p":{"x":"NaN"}}'),
    ]


@pytest.mark.parametrize("broken", [b"{", b"tru", b"01", b'"\t"', b"[1,]", b'{"a" 1}', b"1 2", b'"\xff"'])
def test_invalid_json_in_a_json_column_makes_the_record_malformed(lake: LakeOnDisk, parser: str, broken: bytes) -> None:
    good = ndjson(*[record(p=n) for n in range(10)])
    line = HEAD + b'"p":' + broken + b"}"
    converted = lake.convert({KEY: good + line + b"\n"}, rules=rules_from_toml('[paths.p]\nkeep="json"'))
    assert values(converted.quarantined(), "record", "raw") == [(10, line)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ('"2026-02-03T10:20:30Z"', moment("2026-02-03T10:20:30")),
        ('"2026-02-03 10:20:30.123456"', moment("2026-02-03T10:20:30.123456")),
        ('"2026-02-03T10:20:30.120000000Z"', moment("2026-02-03T10:20:30.120")),
        ('"2026-02-03T10:20:30.5-02:30"', moment("2026-02-03T12:50:30.5")),
        ('"2026-02-03T00:30+0200"', moment("2026-02-02T22:30:00")),
        ('"2026-02-03"', moment("2026-02-03T00:00:00")),
        ('"0001-01-01T00:00:00Z"', moment("0001-01-01T00:00:00")),
        ('"9999-12-31T23:59:59.999999Z"', moment("9999-12-31T23:59:59.999999")),
        ('"2026-02-03T10:20:30\\u005a"', moment("2026-02-03T10:20:30")),
        ("1770076800", moment("2026-02-03T00:00:00")),
        ("1770076800123", moment("2026-02-03T00:00:00.123")),
        ("1770076800123456", moment("2026-02-03T00:00:00.123456")),
        ("1770076800123456000", moment("2026-02-03T00:00:00.123456")),
        ("1770076800.25", moment("2026-02-03T00:00:00.25")),
        ("-1", moment("1969-12-31T23:59:59")),
    ],
)
def test_a_pinned_timestamp_is_exact_in_utc(lake: LakeOnDisk, parser: str, value: str, stored: datetime) -> None:
    lines = HEAD + b'"at":' + value.encode() + b"}\n"
    row = lake.convert({KEY: lines}, rules=rules_from_toml('[paths.at]\ntype="timestamp"')).rows()[0]
    assert (row["at"], row["_rescued"]) == (stored, None)


@pytest.mark.parametrize(
    "value",
    [
        '"2026-02-03T10:20:30.1234567Z"',
        "1770076800123456789",
        "1770076800.1234567",
        '"2026-02-30"',
        '"2026-02-03T24:00:00Z"',
        '"2026-02-03T10:20:60Z"',
        '"0001-01-01T00:30:00+01:00"',
        '"0000-01-01T00:00:00Z"',
        '"yesterday"',
        '""',
        "1e300",
        "true",
        '{"$date":1}',
        "99999999999999999999999",
    ],
)
def test_a_timestamp_that_would_not_be_exact_is_rescued_as_written(lake: LakeOnDisk, parser: str, value: str) -> None:
    lines = HEAD + b'"at":' + value.encode() + b"}\n" + ndjson(record(at=DAY))
    row = lake.convert({KEY: lines}, rules=rules_from_toml('[paths.at]\ntype="timestamp"')).rows()[0]
    assert (row["at"], json.loads(row["_rescued"], parse_float=str)) == (
        None,
        {"at": json.loads(value, parse_float=lambda text: str(float(text)))},
    )


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("date", '"2026-02-03"', date(2026, 2, 3)),
        ("date", '"2026-02-03T00:00:00Z"', None),
        ("date", "1770076800", None),
        ("decimal(10,2)", "19.99", Decimal("19.99")),
        ("decimal(10,2)", '"19.9"', Decimal("19.90")),
        ("decimal(10,2)", "-5", Decimal("-5.00")),
        ("decimal(10,2)", "1.2e1", Decimal("12.00")),
        ("decimal(10,2)", "1.500", Decimal("1.50")),
        ("decimal(10,2)", "1.005", None),
        ("decimal(10,2)", "99999999.99", Decimal("99999999.99")),
        ("decimal(10,2)", "100000000", None),
        ("decimal(38,10)", "0.1234567891", Decimal("0.1234567891")),
        ("decimal(10,2)", '"01"', None),
        ("decimal(10,2)", '"1,5"', None),
        ("decimal(10,2)", "true", None),
        ("string", "1.50", "1.50"),
        ("string", '"007"', "007"),
        ("string", '"a\\"\\u00fc\\n"', 'a"ü\n'),
        ("string", "12345678901234567890123", "12345678901234567890123"),
        ("string", "false", "false"),
        ("string", "[1]", None),
        ("string", '"\\ud800"', None),
        ("int", "7", 7),
        ("int", "7.5", None),
        ("double", "7", 7.0),
        ("double", "9007199254740993", None),
        ("bool", "1", None),
    ],
)
def test_a_pinned_column_holds_exact_values_and_the_rest_is_rescued(
    lake: LakeOnDisk, parser: str, kind: str, value: str, stored: object
) -> None:
    lines = HEAD + b'"v":' + value.encode() + b"}\n"
    row = lake.convert({KEY: lines}, rules=rules_from_toml(f'[paths.v]\ntype="{kind}"')).rows()[0]
    assert row["v"] == stored
    assert (row["_rescued"] is None) == (stored is not None)


def test_an_excluded_value_is_stored_nowhere(lake: LakeOnDisk, parser: str) -> None:
    rules = rules_from_toml("policy='evolve'\n[paths.'user.ssn']\nexclude=true\n[paths.mode]\nexclude=true")
    lines = (
        ndjson(record(user={"ssn": "123", "name": "x"}), record(user={"ssn": {"a": 1}}), record(user=[{"n": 1}]))
        + HEAD
        + b'"user":{"ssn":1,"ssn":2,"name":"y","name":"z"}}\n'
    )
    converted = lake.convert({KEY: lines}, rules=rules)
    assert [column.name for column in converted.contract.columns] == ["event_time", "user_name"]
    assert values(converted.rows(), "user_name", "_rescued", "partition") == [
        ("x", None, "2026-02-03 live"),
        (None, None, "2026-02-03 live"),
        (None, '{"user":[{"n":1}]}', "2026-02-03 live"),
        ("z", '{"user.name[earlier]":["y"]}', "2026-02-03 live"),
    ]


def test_a_column_that_is_excluded_later_stays_and_is_null(lake: LakeOnDisk, parser: str) -> None:
    base = lake.convert({KEY: ndjson(record(a={"b": 1, "c": 2}, d=3))}).contract.with_version(1)
    rules = rules_from_toml("[paths.'a.b']\nexclude=true\n[paths.d]\nexclude=true")
    later = lake.convert({KEY: ndjson(record(a={"b": "x", "c": 5}, d=[6]))}, contract=base, rules=rules)
    assert values(later.rows(), "a_b", "a_c", "d", "_rescued") == [(None, 5, None, None)]


def test_under_rescue_a_new_field_is_rescued_without_a_column(lake: LakeOnDisk, parser: str) -> None:
    base = lake.convert({KEY: ndjson(record(n=1))}).contract.with_version(1)
    records = [record(n=n, new={"deep": [n, 1.5]}, b="x") for n in range(200)]
    later = lake.convert({KEY: ndjson(*records)}, contract=base, rules=Rules(policy=Policy.RESCUE))
    assert later.contract == base
    assert [row["_rescued"] for row in later.rows()] == [f'{{"b":"x","new":{{"deep":[{n},1.5]}}}}' for n in range(200)]
    assert len(later.report.manifest.curated) == 1, "no part is closed for a field without a column"


def test_a_path_that_is_rescued_by_rule_never_gets_a_column(lake: LakeOnDisk, parser: str) -> None:
    rules = rules_from_toml("[paths.debug]\npolicy='rescue'")
    converted = lake.convert({KEY: ndjson(record(n=1, debug={"x": 1}), record(n=2))}, rules=rules)
    assert values(converted.rows(), "n", "_rescued") == [(1, '{"debug":{"x":1}}'), (2, None)]
    assert [column.name for column in converted.contract.columns] == ["event_time", "mode_field", "n"]


def test_under_freeze_a_record_that_does_not_fit_is_quarantined_with_its_path(lake: LakeOnDisk, parser: str) -> None:
    base = lake.convert({KEY: ndjson(record(n=1, empty=[]))}).contract.with_version(1)
    unusual = [record(n=2, new=1), record(n="x"), record(n=4, empty=[]), record(n=5, new=None), record(n=6)]
    later = lake.convert({KEY: ndjson(*unusual)}, contract=base, rules=Rules(policy=Policy.FREEZE), max_bad_share=0.0)
    assert values(later.quarantined(), "record", "reason", "detail") == [
        (index, "contract_frozen", f"{path} does not fit the contract, which is frozen")
        for index, path in enumerate(["new", "n", "empty"])
    ]
    assert values(later.rows(), "n", "_rescued") == [(5, None), (6, None)]
    assert later.outcome(KEY).quarantined == 3
    assert later.contract == base


def test_the_first_contract_comes_from_the_files_under_every_policy(lake: LakeOnDisk, parser: str) -> None:
    for policy in Policy:
        converted = lake.convert({KEY: ndjson(record(n=1, o={"k": "x"}))}, rules=Rules(policy=policy))
        assert values(converted.rows(), "n", "o_k", "_rescued") == [(1, "x", None)]


def test_a_date_field_is_read_even_if_it_is_pinned_or_stored_as_text(lake: LakeOnDisk, parser: str) -> None:
    lines = ndjson({"meta": {"at": "2026-02-03T23:30:00-02:00", "m": "a\u00fc"}}, {"meta": {"at": 1770076800, "m": 5}})
    for rules in (
        Rules(),
        rules_from_toml("[paths.meta]\nkeep='json'"),
        rules_from_toml("[paths.'meta.at']\ntype='timestamp'\n[paths.'meta.m']\nexclude=true"),
        rules_from_toml("[paths.'meta.at']\ntype='string'"),
    ):
        converted = lake.convert({KEY: lines}, rules=rules, date_field="meta.at", mode_field="meta.m")
        assert [row["partition"] for row in converted.rows()] == ["2026-02-04 aü", "2026-02-03 5"]


def test_all_files_can_be_read_together_in_duckdb_and_pyarrow(lake: LakeOnDisk) -> None:
    rules = rules_from_toml(
        "max_depth=3\n[paths.at]\ntype='timestamp'\n[paths.price]\ntype='decimal(10,2)'\nrename='price_eur'\n"
        "[paths.p]\nkeep='json'\n[paths.d]\ntype='date'"
    )
    first = lake.convert({KEY: ndjson(record(p={"a": [1]}, n=1))}, rules=rules)
    lake.convert(
        {"2026/week07/b.json": ndjson(record(at=DAY, price=1.25, p=[2], d="2026-02-03", l=[{"Odd Key": 1}]))},
        contract=first.contract.with_version(1),
        batch_id="0b8f1a52-4a8c-4a58-9f6e-1f4e7d0d9a12",
        rules=rules,
    )
    folder = lake.store.path("json_parsed_parquet")
    converted = duckdb.connect().execute(
        f"SELECT p, price_eur, d, epoch_us(\"at\"), l FROM read_parquet('{folder}/**/*.parquet', union_by_name=true) "
        "ORDER BY n NULLS LAST"
    )
    assert converted.fetchall() == [
        ('{"a": [1]}', None, None, None, None),
        ("[2]", Decimal("1.25"), date(2026, 2, 3), 1770112800000000, [{"odd_key": 1}]),
    ]
    assert lake.table().to_table().num_rows == 2


pins = st.sampled_from(
    [
        PathRule(pin=Shape(Kind.JSON)),
        PathRule(pin=Shape(Kind.TEXT)),
        PathRule(pin=Shape(Kind.DECIMAL, digits=(12, 3))),
        PathRule(pin=Shape(Kind.TIMESTAMP)),
        PathRule(pin=Shape(Kind.INT)),
        PathRule(exclude=True),
        PathRule(policy=Policy.RESCUE),
        PathRule(policy=Policy.EVOLVE),
        PathRule(policy=Policy.FREEZE),
    ]
)
outer_paths: st.SearchStrategy[tuple[str, ...]] = st.sampled_from([("v",), ("w",), ("mode",), ("event_time",)])
inner_paths: st.SearchStrategy[tuple[str, ...]] = keys.map(lambda key: ("v", key))
outer = st.dictionaries(outer_paths, pins, max_size=3)
inner = st.dictionaries(inner_paths, pins, max_size=2)


@st.composite
def rule_sets(draw: st.DrawFn) -> Rules:
    paths: dict[tuple[str, ...], PathRule] = dict(draw(outer))
    if ("v",) not in paths or not paths["v",].is_whole:
        paths |= draw(inner)
    return Rules(
        policy=draw(st.sampled_from(Policy)),
        max_depth=draw(st.sampled_from([1, 2, 16])),
        max_fields=draw(st.sampled_from([1, 3, 300])),
        max_columns=draw(st.sampled_from([2, 5, 2000])),
        paths=paths,
    )


dates = st.sampled_from(["2026-02-03", "2026-02-03T23:30:00-02:00", "yesterday", None, 1770076800])
records = st.fixed_dictionaries({"event_time": dates, "v": json_values}, optional={"w": json_values, "mode": texts})
contents = st.lists(records.map(lambda converted: json.dumps(converted).encode()), min_size=1, max_size=20)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=contents, rules=rule_sets(), later=contents)
def test_under_any_rules_every_value_is_kept_except_excluded_ones(
    lines: list[bytes], rules: Rules, later: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeOnDisk(Path(folder))
        first = lake.convert({KEY: b"\n".join(lines)}, rules=rules)
        check(first, lines, rules)
        again = lake.convert({KEY: b"\n".join(later)}, rules=rules, contract=first.contract.with_version(1))
        check(again, later, rules)
        assert len(again.contract.columns) <= max(rules.max_columns, len(first.contract.columns))


def check(converted: Converted, lines: list[bytes], rules: Rules) -> None:
    """Every line is a row or quarantined, and each row has all values of its record except excluded ones."""
    rows = {row["_record"]: row for row in converted.rows()}
    quarantined = {row["record"]: row for row in converted.quarantined()}
    if converted.outcome(KEY).reason == NOTHING_TO_PUBLISH:
        assert (rows, quarantined, converted.outcome(KEY).quarantined) == ({}, {}, len(lines))
        return
    assert sorted([*rows, *quarantined]) == list(range(len(lines)))
    assert {row["reason"] for row in quarantined.values()} <= {"no_date", "invalid_date", "contract_frozen"} | {
        "invalid_mode"
    }
    for index, row in rows.items():
        written = reference(lines[index])
        assert written is not None
        for path in rules.excluded:
            inside: Any = written
            for key in path[:-1]:
                inside = inside.get(key) if isinstance(inside, dict) else None
            if isinstance(inside, dict):
                inside.pop(path[-1], None)
        assert alike(record_of(row, converted, written), written)


def record_of(row: dict[str, Any], converted: Converted, written: dict[str, Any]) -> dict[str, Any]:
    """The record of a row, with columns that were cast from text as they were written."""
    plain = dict(row)
    for column in converted.contract.columns:
        value = row[column.name]
        if value is None or column.shape.kind in (Kind.LIST, Kind.STRUCT):
            continue
        original: Any = written
        for key in column.path:
            original = original.get(key) if isinstance(original, dict) else None
        match column.shape.kind:
            case Kind.TEXT:
                assert value == (original if isinstance(original, str) else json.dumps(original))
                plain[column.name] = original
            case Kind.DECIMAL:
                text = original if isinstance(original, str) else json.dumps(original)
                assert Decimal(text) == value
                plain[column.name] = original
            case Kind.TIMESTAMP:
                assert isinstance(original, str | int | float)
                plain[column.name] = original
            case _:
                pass
    return rebuilt(plain, converted)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=contents, before=st.none() | rule_sets(), rules=rule_sets(), later=contents)
def test_under_any_rules_both_parsers_give_the_same_rows(
    lines: list[bytes], before: Rules | None, rules: Rules, later: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeOnDisk(Path(folder))
        contract = lake.convert({KEY: b"\n".join([*lines, *later])}, rules=before or rules).contract.with_version(1)
        assert_parsers_agree(lake, later, settled(lake, later, contract, rules), rules)


def settled(lake: LakeOnDisk, lines: list[bytes], contract: Contract, rules: Rules) -> Contract:
    """`contract` after it has learned everything from the lines under the rules. What it learns during a conversion
    depends on which records were unusual; what is stored depends on what it learned before.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "parse_fast", reject_everything)
        while True:
            try:
                grown = lake.convert({KEY: b"\n".join(lines)}, rules=rules, contract=contract).contract
            except SettingsError:  # a rule excludes a part of what is stored as one text
                reject()
            if grown.root == contract.root:
                return contract
            contract = grown.with_version(1)


def assert_parsers_agree(lake: LakeOnDisk, lines: list[bytes], contract: Contract, rules: Rules) -> None:
    fast, columns = converted_rows(lake, lines, contract, rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "parse_fast", reject_everything)
        assert converted_rows(lake, lines, contract, rules) == (fast, columns)


def converted_rows(lake: LakeOnDisk, lines: list[bytes], contract: Contract, rules: Rules) -> tuple[Any, Any]:
    """Read at once: the next conversion of the same batch writes files of the same names."""
    converted = lake.convert({KEY: b"\n".join(lines)}, rules=rules, contract=contract)
    return (converted.rows(), converted.quarantined(), converted.report.evidence), converted.contract.columns


PIN_V = "[paths.v]\ntype="


@pytest.mark.parametrize(
    ("lines", "rules", "row"),
    [
        # A pin that comes after the column: neither parser may rescue a value that the column holds.
        ([b'"v":"x"', b'"v":"y","w":1'], PIN_V + '"json"', ("x", None)),
        ([b'"v":"x"', b'"v":"y","w":1'], PIN_V + '"decimal(9,2)"', ("x", None)),
        # A string column that is pinned as a string accepts numbers at once, not only after the first one.
        ([b'"v":"x"', b'"v":"y"', b'"v":7'], PIN_V + '"string"', ("x", None)),
        # Empty until the pin: the first value creates the pinned column, even an empty value.
        ([b'"v":[]', b'"v":{}'], PIN_V + '"json"', ("[]", None)),
        ([b'"v":{}', b'"v":[]'], PIN_V + '"json"', ("{}", None)),
        # Empty lists below a reduced depth limit stay without a column in both.
        ([b'"v":[]', b'"v":[]'], "max_depth=1", (None, '{"v":[]}')),
    ],
)
def test_later_rules_mean_the_same_to_both_parsers(
    lake: LakeOnDisk, lines: list[bytes], rules: str, row: tuple[object, object]
) -> None:
    written = [HEAD + line + b"}" for line in lines]
    contract = lake.convert({KEY: b"\n".join(written)}).contract.with_version(1)
    assert_parsers_agree(lake, written, contract, rules_from_toml(rules))
    later = lake.convert({KEY: b"\n".join(written)}, contract=contract, rules=rules_from_toml(rules))
    assert values(later.rows(), "v", "_rescued")[0] == row


def test_a_frozen_record_reports_the_first_of_its_paths_in_name_order(lake: LakeOnDisk, parser: str) -> None:
    base = lake.convert({KEY: ndjson(record(a=1, b=1))}).contract.with_version(1)
    usual, unusual = HEAD + b'"a":1,"b":1}\n', HEAD + b'"b":"x","a":"y"}'
    later = lake.convert({KEY: usual + unusual}, contract=base, rules=Rules(policy=Policy.FREEZE))
    assert values(later.quarantined(), "detail") == [("a does not fit the contract, which is frozen",)]
