"""Casts of many values at a time give the same results as casts one by one."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lake_pipeline.contract.exact_json import MAX_NESTING, decode, nesting, with_sources
from lake_pipeline.contract.rescue import Source
from lake_pipeline.contract.scalars import EPOCH_UNITS, Inexact, cast_text
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.parse.cast import cast_texts
from lake_pipeline.convert.partition.dates import Days

SHAPES = [
    Shape(Kind.TEXT),
    Shape(Kind.TIMESTAMP),
    Shape(Kind.DATE),
    Shape(Kind.DECIMAL, digits=(8, 3)),
    Shape(Kind.DECIMAL, digits=(38, 0)),
    Shape(Kind.DECIMAL, digits=(38, 38)),
]

moments = st.from_regex(
    r'"[0-9]{3}[0-9]-[01][0-9]-[0-3][0-9]([Tt ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{1,9})?)?'
    r'( ?([Zz]|[+-][0-2][0-9](:?[0-6][0-9])?))?)?"',
    fullmatch=True,
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
quoted = numbers.map(lambda text: f'"{text}"')
scalars = st.none() | st.booleans() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
others = scalars.filter(lambda value: value is not None).map(json.dumps)
texts = st.none() | moments | numbers | quoted | others | st.integers(-(10**20), 10**20).map(str)


@settings(max_examples=400, deadline=None)
@given(column=st.lists(texts, max_size=8), shape=st.sampled_from(SHAPES))
def test_casting_a_column_equals_casting_value_by_value(column: list[str | None], shape: Shape) -> None:
    assert cast_texts(pa.array(column, pa.string()), shape).to_pylist() == [one(text, shape) for text in column]


def one(text: str | None, shape: Shape) -> Any:
    try:
        return cast_text(text, shape) if text is not None else None
    except Inexact:
        return None


@pytest.mark.parametrize("number", [1, 10**11 - 1, 10**11, 10**14 - 1, 10**14, 10**17 - 1, 10**17, -(10**12)])
def test_numbers_since_1970_mean_the_same_in_columns_and_partitions(number: int) -> None:
    stored = cast_text(str(number), Shape(Kind.TIMESTAMP)) if number % 1000 == 0 or number < 10**17 else None
    assert len(EPOCH_UNITS) == 3
    assert stored is not None
    assert Days("UTC").of(number) == stored.date()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", 'q"', "é"]), inner),
    max_leaves=12,
)


@given(record=st.dictionaries(st.sampled_from(["a", "b", 'q"', "é"]), values), indent=st.sampled_from([None, 1]))
def test_a_value_keeps_its_source_text(record: dict[str, Any], indent: int | None) -> None:
    line = json.dumps(record, indent=indent).replace("\n", " ")
    decoded = with_sources(decode(line), line, {"a": {"b": True, "é": {"a": True}}, 'q"': True})
    if isinstance(decoded.get('q"'), Source):
        assert json.loads(decoded['q"'].text) == record['q"']
        assert decoded['q"'].text in line
    if isinstance(record.get("a"), dict) and record["a"].get("b") is not None:
        assert json.loads(decoded["a"]["b"].text) == record["a"]["b"]
    assert plain(decoded) == record


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    return value.value if isinstance(value, Source) else value


@pytest.mark.parametrize(
    ("text", "depth"),
    [("{}", 1), ('{"a":["]]}}\\"[["]}', 2), ("[[],[[[1]]]]", 4), ("[" * MAX_NESTING + "]" * MAX_NESTING, MAX_NESTING)],
)
def test_nesting_counts_brackets_outside_of_strings(text: str, depth: int) -> None:
    assert nesting(text) == depth
