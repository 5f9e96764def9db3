"""The contract: paths, names, evolution and the union of two evolved contracts."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.naming import MAX_LENGTH, PARTITION, PROVENANCE
from lake_pipeline.contract.paths import parse_path, show_path
from lake_pipeline.errors import ContractMoved

paths = st.lists(st.text(max_size=5), min_size=1, max_size=4).map(tuple)


def evolved(*records: dict[str, object], base: Contract | None = None) -> Contract:
    return (base or Contract()).evolved(infer(records))


def names(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns]


@given(path=paths)
def test_a_path_as_text_parses_back(path: tuple[str, ...]) -> None:
    assert parse_path(show_path(path)) == path


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", 'a."b', "a.b "])
def test_the_error_for_a_malformed_path_has_the_position(text: str) -> None:
    with pytest.raises(ValueError, match="character"):
        parse_path(text)


@given(key_paths=st.lists(paths, min_size=1, max_size=12, unique=True))
def test_column_names_are_safe_and_unique_for_any_keys(key_paths: list[tuple[str, ...]]) -> None:
    records = []
    for path in key_paths:
        record: object = 1
        for key in reversed(path):
            record = {key: record}
        records.append(record)
    contract = evolved(*records)  # type: ignore[arg-type]
    column_names = names(contract)
    assert len(set(column_names)) == len(column_names)
    assert not set(column_names) & {*PARTITION, *PROVENANCE}
    for name in column_names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
        assert not name[0].isdigit()
        assert len(name) <= MAX_LENGTH


def test_new_fields_count_regardless_of_the_number_of_misfits() -> None:
    """Only records that do not fit are inspected, so they are not a representative sample."""
    contract = evolved({"n": 1, "o": {"a": 1}, "l": [{"a": 1}], "e": []})
    seen = infer(
        [
            *[{"n": "x", "o": "x", "l": "x", "e": "x"}] * 5,
            {"n": 0.5, "o": {"b": 1}, "l": [{"b": 1}], "e": [1]},
            {"n": 7, "l": [*"xxx", {"c": 1}]},
        ],
        current=contract.root,
    )
    assert names(contract.evolved(seen)) == ["n", "o_a", "l", "o_b", "e"]
    assert contract.evolved(seen).root.at(("l",)) == infer([{"l": [{"a": 1, "b": 1, "c": 1}]}]).at(("l",))
    assert list(contract.widenings(seen)) == [("n",)]


def test_a_column_keeps_its_name_and_type_for_any_later_records() -> None:
    first = evolved({"a": 1, "b": {"c": "x"}})
    later = evolved({"a": "text", "b": 7, "B c": 1, "n": [{"x": 1}]}, base=first)
    assert names(later)[:2] == names(first) == ["a", "b_c"]
    assert [later.arrow_schema().field(name).type for name in names(first)] == ["int64", "string"]


def test_a_path_without_any_value_has_no_column() -> None:
    contract = evolved({"a": None, "l": [], "o": {}, "s": [{"x": None, "y": 1}]})
    assert names(contract) == ["s"]
    assert str(contract.arrow_schema().field("s").type) == "list<element: struct<y: int64>>"
    assert names(evolved({"a": 1.5, "l": ["x"], "o": {"k": True}}, base=contract)) == ["s", "a", "l", "o_k"]


def test_a_contract_survives_json_in_any_key_order() -> None:
    contract = evolved({"z": 1, "a": {"y": [{"b": 1, "a": None}], "x": 2.5}}).with_version(3)
    stored = json.loads(json.dumps(contract.to_json(), sort_keys=True))
    assert Contract.from_json(stored) == contract
    assert names(Contract.from_json(stored)) == names(contract)


def test_the_union_of_two_evolved_contracts_reads_both() -> None:
    base = evolved({"a": 1}).with_version(1)
    one, two = evolved({"b": 1, "l": [{"x": 1}]}, base=base), evolved({"c": 1, "l": [{"y": 1}]}, base=base)
    union = base.merged(one).with_version(2).merged(two)
    assert names(union) == ["a", "b", "l", "c"]
    assert str(union.arrow_schema().field("l").type) == "list<element: struct<x: int64, y: int64>>"


def test_merging_nothing_new_changes_nothing() -> None:
    base = evolved({"a": 1, "b": {"c": [1]}}).with_version(4)
    assert base.merged(base) is base
    assert base.merged(evolved({"a": 2}, base=base)) is base


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"x": 1}, {"x": "text"}),
        ({"x": 1}, {"x": {"y": 1}}),
        ({"x": {"y": 1}}, {"x": 1}),
        ({"x y": 1}, {"x_y": 1}),
        ({"l": [1]}, {"l": ["a"]}),
        ({"l": [{"a-b": 1}]}, {"l": [{"a b": "x"}]}),
    ],
)
def test_files_that_do_not_fit_the_union_are_converted_again(one: dict[str, object], two: dict[str, object]) -> None:
    base = evolved({"a": 1}).with_version(1)
    current = base.merged(evolved(one, base=base)).with_version(2)
    with pytest.raises(ContractMoved):
        current.merged(evolved(two, base=base))
