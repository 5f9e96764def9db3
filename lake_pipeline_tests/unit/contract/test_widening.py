"""Widening of shapes, types and contracts, and the sums of evidence."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.diff import changes
from lake_pipeline.contract.evidence import MAX_PATH_LENGTH, MAX_PATHS, Evidence, Seen
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.rescue import add_rescued
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.contract.widening import wider, wider_type
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.errors import ContractMoved


def evolved(*records: dict[str, object], base: Contract | None = None) -> Contract:
    return (base or Contract()).evolved(infer(records))


def types(contract: Contract) -> dict[str, str]:
    return {column.name: str(column.type) for column in contract.columns}


BASE = evolved({"n": 1, "x": 0.5, "t": "text", "o": {"k": 1}, "l": [1], "s": [{"a": 1, "b": 2}]}).with_version(1)
FRACTIONS = infer([{"n": 0.5, "x": 1, "t": 0.5, "o": {"k": 0.5}, "l": [0.5], "s": [{"a": 0.5, "c": 0.5}]}])


def test_integers_become_doubles_if_fractions_are_seen_and_nothing_else_changes() -> None:
    widened = BASE.widened(BASE.widenings(FRACTIONS), FRACTIONS)
    assert types(widened) == {
        "n": "double",
        "x": "double",
        "t": "string",
        "o_k": "double",
        "l": "list<element: double>",
        "s": "list<element: struct<a: double, b: int64>>",
    }
    assert [column.path for column in BASE.narrower_than(widened)] == [("n",), ("o", "k"), ("l",), ("s",)]
    assert widened.narrower_than(BASE) == ()
    assert widened.widenings(FRACTIONS) == {}
    assert wider(widened.root, FRACTIONS) is widened.root


def test_a_conversion_widens_recent_columns_and_records_the_others() -> None:
    contract = EvolvingContract(evolved({"young": 1}, base=BASE).with_version(2), widens_from=2)
    contract.evolve(infer([{"n": 0.5, "young": 0.5, "new": 0.5}]))
    current = types(contract.current)
    assert (current["n"], current["young"], current["new"]) == ("int64", "double", "double")
    assert (contract.widenings, contract.wanted_widenings) == (1, {"n": Shape(Kind.DOUBLE)})


def test_files_that_are_narrower_than_the_current_contract_are_converted_again() -> None:
    widened = BASE.widened([("n",)], FRACTIONS).with_version(2)
    with pytest.raises(ContractMoved):
        widened.merged(evolved({"new": 1}, base=BASE))
    assert widened.merged(widened) is widened


def test_the_union_with_a_wider_contract_is_wide() -> None:
    current = evolved({"other": 1}, base=BASE).with_version(2)
    union = current.merged(BASE.widened([("n",), ("s",)], FRACTIONS))
    assert (types(union)["n"], types(union)["other"]) == ("double", "int64")
    assert types(union)["s"] == "list<element: struct<a: double, b: int64>>"


@pytest.mark.parametrize(
    ("stored", "expected", "wide"),
    [
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.float64(), pa.int64(), pa.float64()),
        (pa.int64(), pa.string(), pa.int64()),
        (pa.map_(pa.string(), pa.int64()), pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.float64())),
        (
            pa.list_(pa.struct([("a", pa.int64()), ("b", pa.int64())])),
            pa.list_(pa.struct([("b", pa.int64()), ("a", pa.float64()), ("later", pa.int64())])),
            pa.list_(pa.struct([("a", pa.float64()), ("b", pa.int64())])),
        ),
    ],
)
def test_a_stored_type_is_widened_and_keeps_its_fields(
    stored: pa.DataType, expected: pa.DataType, wide: pa.DataType
) -> None:
    assert wider_type(stored, expected) == wide


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (None, '{"n":7}'),
        ("{}", '{"n":7}'),
        ('{"m":1e400,"k":"\\ud800"}', '{"m":1e400,"k":"\\ud800","n":7}'),
        ('{"n":"kept"}', '{"n":"kept"}'),
        ('{"long":' + "1" * 5000 + "}", '{"long":' + "1" * 5000 + ',"n":7}'),
    ],
)
def test_a_value_is_added_to_earlier_rescued_values(text: str | None, after: str) -> None:
    assert add_rescued(text, "n", 7) == after


def test_changes_are_described_in_words() -> None:
    later = evolved({"s": [{"c": "t"}], "new.key": True}, base=BASE).widened([("n",)], FRACTIONS)
    assert [str(change) for change in changes(BASE, later)] == [
        "~ n widened: int64 → double (from n)",
        f"~ s has new fields: {types(BASE)['s']} → {types(later)['s']} (from s)",
        '+ new_key bool (from "new.key")',
    ]
    assert [str(change) for change in changes(later, BASE)][-1] == '- new_key bool (from "new.key")'
    assert changes(BASE, BASE) == []


def test_evidence_adds_up_and_survives_json() -> None:
    evidence = Evidence(wanted_widenings={"n": Shape(Kind.DOUBLE)})
    evidence.note("n", "int", Seen(3, 2, 5))
    other = Evidence()
    other.note("n", "int", Seen(1, 9, 9))
    other.note_rescued("n[earlier]", "list", Seen(1, 1, 1))
    evidence.add(other)
    assert evidence.seen == {("n", "int"): Seen(4, 2, 9), ("n", "repeated"): Seen(1, 1, 1)}
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_evidence_has_a_limit_on_paths() -> None:
    evidence = Evidence()
    for number in range(MAX_PATHS + 10):
        evidence.note_rescued(f"key {number}", "int", Seen(1, 1, 1))
    evidence.note("x" * (MAX_PATH_LENGTH + 1), "int", Seen(1, 1, 1))
    evidence.note("a column", "int", Seen(1, 1, 1))
    assert len(evidence.seen) == MAX_PATHS + 1
