"""The fast parser: what it reads is exactly what `json` reads, and everything else is rejected completely."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.native.call import call
from lake_pipeline.convert.native.layout import ValueKind
from lake_pipeline.convert.parse.fast.parser import parse_fast
from lake_pipeline.convert.parse.fast.plan import plan_of

ALL_KINDS = Shape(
    Kind.STRUCT,
    {
        "i": Shape(Kind.INT),
        "d": Shape(Kind.DOUBLE),
        "s": Shape(Kind.STRING),
        "b": Shape(Kind.BOOL),
        "o": Shape(Kind.STRUCT, {"x": Shape(Kind.INT), "y": Shape(Kind.STRING)}),
        "l": Shape(Kind.LIST, item=Shape(Kind.LIST, item=Shape(Kind.INT))),
        "n": Shape(Kind.NULL),
        "ü": Shape(Kind.LIST, item=Shape(Kind.STRUCT, {"k": Shape(Kind.STRING), "v": Shape(Kind.DOUBLE)})),
        "j": Shape(Kind.JSON),
    },
)


def rows(*lines: str | bytes, shape: Shape = ALL_KINDS) -> dict[int, dict[str, Any]]:
    """The lines that were read: number → the values that are not null."""
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    result = parse_fast(b"".join(line + b"\n" for line in encoded), len(encoded), Contract(0, shape))
    table = result.table(np.arange(len(result.rows)))
    table.validate(full=True)
    assert sorted([*result.rows.tolist(), *result.rejected.tolist()]) == list(range(len(lines)))
    return {int(line): without_nulls(row) for line, row in zip(result.rows, table.to_pylist(), strict=True)}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


ACCEPTED: dict[str, dict[str, Any]] = {
    '{"i":1}': {"i": 1},
    ' { "i" : -9223372036854775808 , "d" : 1 } \r': {"i": -(2**63), "d": 1.0},
    '{"i":9223372036854775807}': {"i": 2**63 - 1},
    '{"i":7.0}': {"i": 7},
    '{"i":-1.2e2}': {"i": -120},
    '{"i":9007199254740992.000}': {"i": 2**53},
    '{"i":0e-400,"l":[[1.0,250e-1]]}': {"i": 0, "l": [[1, 25]]},
    '{"d":-0.0}': {"d": -0.0},
    '{"d":1e22,"s":""}': {"d": 1e22, "s": ""},
    '{"d":0.13436424411240122,"s":"a text that is longer than a vector of bytes"}': {
        "d": 0.13436424411240122,
        "s": "a text that is longer than a vector of bytes",
    },
    '{"d":123456789012345678e-30}': {"d": 123456789012345678e-30},
    '{"d":9007199254740992}': {"d": 2.0**53},
    r'{"s":"a\"b\\c\/\b\f\n\r\t\u00e9\u4e2d\ud83d\ude00"}': {"s": 'a"b\\c/\b\f\n\r\té中😀'},
    '{"s":"ÿ中😀"}': {"s": "ÿ中😀"},
    '{"s":"\\u0000"}': {"s": "\0"},
    '{"b":true,"o":{"y":"t","x":2}}': {"b": True, "o": {"x": 2, "y": "t"}},
    '{"o":{}}': {"o": {}},
    '{"o":null,"l":null,"n":null,"i":null}': {},
    '{"l":[]}': {"l": []},
    '{"l":[[1,2],[],[3],null,[null]]}': {"l": [[1, 2], [], [3], None, [None]]},
    '{"ü":[{"k":"a"},{"v":2.5,"k":"b"},null,{}]}': {"ü": [{"k": "a"}, {"k": "b", "v": 2.5}, None, {}]},
    '{"j":{"a": [1, 2.50, {"b":null}], "a":1e999}}': {"j": '{"a": [1, 2.50, {"b":null}], "a":1e999}'},
    '{"j":"text"}': {"j": '"text"'},
    "{}": {},
}

REJECTED = [
    '', ' ', 'null', '1', '[]', '"s"', '{', '}', '{"i"}', '{"i":}', '{"i":1', '{"i":1}}', '{"i":1}{"i":2}',
    '{"i":1},', '{"i":1,}', '{,"i":1}', '{"i":1 "d":2}', '{"i":1,,"d":2}', "{'i':1}", '{"i":01}', '{"i":-}',
    '{"i":+1}', '{"i":1.5}', '{"i":1e-2}', '{"i":1e16}', '{"i":9007199254740993.0}', '{"i":1.}',
    '{"i":9223372036854775808}', '{"i":-9223372036854775809}', '{"i":"1"}',
    '{"i":true}', '{"i":1,"i":2}', '{"i":null,"i":1}', '{"d":.5}', '{"d":1.}', '{"d":1e}', '{"d":1e+}',
    '{"d":1e400}', '{"d":9007199254740993}', '{"d":NaN}', '{"d":Infinity}', '{"d":0x1}', '{"d":1_0}',
    '{"s":"\\ud800"}', '{"s":"\\udc00\\ud800"}', '{"s":"\\ud800\\u0041"}', '{"s":"\\x"}', '{"s":"\\u12g4"}',
    '{"s":"a\tb"}', '{"s":"a', '{"s":5}', '{"b":tru}', '{"b":truee}', '{"b":1}', '{"n":1}', '{"n":[]}', '{"zz":1}',
    '{"o":{"z":1}}', '{"o":[]}', '{"l":{}}', '{"l":[1]}', '{"l":[[1.5]]}', '{"l":[[1],]}', '{"l":[[1] [2]]}',
    '{"\\u0069":1}', '{"i":1}garbage', '{"j":{"a":1,}}', '{"j":{a:1}}', '{"j":[1,]}', '{"j":[1 2]}',
    '{"j":{"a":1]}', '{"j":tru}', '{"j":-}', '{"j":1.}', '{"j":}', '{"j":00}', b'{"s":"\xff"}', b'{"s":"\xc0\x80"}',
    b'{"s":"\xed\xa0\x80"}', b'{"s":"\xf4\x90\x80\x80"}', b'{"s":"\xe4\xb8"}', b'{"j":"\xff"}',
]  # fmt: skip


@pytest.mark.parametrize("line", list(ACCEPTED))
def test_a_line_that_fits_is_read_to_the_bit(line: str) -> None:
    (row,) = rows(line).values()
    assert row == ACCEPTED[line]
    assert repr(row) == repr({key: ACCEPTED[line][key] for key in row})


@pytest.mark.parametrize("line", REJECTED)
def test_a_line_with_anything_unexpected_is_rejected(line: str | bytes) -> None:
    assert rows(line) == {}


def test_a_rejected_line_leaves_no_trace_in_its_neighbors() -> None:
    good = '{"i":1,"l":[[1],[2,3]],"ü":[{"k":"a"}]}'
    bad = '{"i":2,"d":2.5,"s":"x","l":[[9],[9,9]],"ü":[{"k":"b","v":1}],"o":{"x":7},"zz":0}'
    accepted = rows(*[good, bad] * 50)
    assert accepted == {line: rows(good)[0] for line in range(0, 100, 2)}


def test_lists_may_be_longer_than_the_first_capacity() -> None:
    numbers = list(range(5000))
    accepted = rows('{"i":1}', json.dumps({"l": [numbers, numbers]}), json.dumps({"l": [[7]]}))
    assert accepted == {0: {"i": 1}, 1: {"l": [numbers, numbers]}, 2: {"l": [[7]]}}


def test_a_record_that_is_nested_too_deeply_is_rejected() -> None:
    assert rows('{"j":' + "[" * 300 + "]" * 300 + "}") == {}
    assert len(rows('{"j":' + "[" * 200 + "]" * 200 + "}")) == 1


def test_a_plan_describes_each_node_in_one_row() -> None:
    plan = plan_of(Contract(0, ALL_KINDS).parser_rules)
    record, lists = plan.node(0), plan.node(plan.children_of(0)[5])
    assert (record.kind, record.scope, record.child_count) == (ValueKind.STRUCT, 0, 9)
    assert (lists.kind, lists.scope) == (ValueKind.LIST, 0)
    assert bytes(plan.keys[lists.key_start : lists.key_start + lists.key_length]) == b'l"'
    inner = plan.node(lists.item)
    assert (inner.kind, plan.node(inner.item).kind) == (ValueKind.LIST, ValueKind.INT)
    assert 0 < inner.scope < plan.node(inner.item).scope < plan.scope_count


@settings(max_examples=2000, deadline=None)
@given(mantissa=st.integers(1, 2**64 - 1), exponent=st.integers(-345, 310))
def test_every_double_is_the_nearest_one(mantissa: int, exponent: int) -> None:
    bits = call("nearest_double", mantissa, exponent)
    expected = float(f"{mantissa}e{exponent}")
    if bits < 0:
        assert expected == 0 or not math.isfinite(expected) or expected < 2.3e-308
    else:
        assert struct.unpack("<d", struct.pack("<q", bits))[0] == expected


@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_a_printed_double_is_read_back_to_the_bit(values: list[float]) -> None:
    shape = Shape(Kind.STRUCT, {"d": Shape(Kind.DOUBLE)})
    accepted = rows(*[f'{{"d":{value!r}}}' for value in values], shape=shape)
    for line, row in accepted.items():
        assert math.copysign(1, row["d"]) == math.copysign(1, values[line])
        assert row["d"] == values[line]


keys = st.sampled_from(["a", "b", "ü", "", "a b"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | texts
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=10
)
objects = st.dictionaries(keys, trees, max_size=4)


def parse_strictly(line: bytes) -> dict[str, Any] | None:
    """The record as `json` reads it, without its extensions; None if it is malformed."""

    def refuse(_: str) -> Any:
        raise ValueError

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        record = json.loads(line.decode(), parse_constant=refuse, object_pairs_hook=distinct)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    records=st.lists(objects, min_size=1, max_size=12),
    style=st.sampled_from([(",", ":"), (", ", ": ")]),
    ascii_only=st.booleans(),
    damage=st.lists(
        st.tuples(st.integers(0, 11), st.floats(0, 1), st.binary(max_size=2), st.integers(0, 2)), max_size=6
    ),
)
def test_lines_are_read_as_json_reads_them(
    records: list[dict[str, Any]],
    style: tuple[str, str],
    ascii_only: bool,
    damage: list[tuple[int, float, bytes, int]],
) -> None:
    lines = [json.dumps(record, separators=style, ensure_ascii=ascii_only).encode() for record in records]
    shape = infer(json.loads(line) for line in lines)
    for number, position, insert, cut in damage:
        line = lines[number % len(lines)]
        at = int(position * len(line))
        lines[number % len(lines)] = line[:at] + insert.replace(b"\n", b"") + line[at + cut :]
    for number, row in rows(*lines, shape=shape).items():
        record = parse_strictly(lines[number])
        assert record is not None, lines[number]
        assert row == without_nulls(record), lines[number]
