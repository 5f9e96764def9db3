"""Rules: the file they are written in, what is told when it is wrong, and what they make of names and shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.rules_file import rules_from_json, rules_from_toml, rules_to_json
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.errors import SettingsError
from lake_pipeline.opening import contract_rules
from lake_pipeline.settings import load_settings

FILE = """
policy = "rescue"
max_depth = 8
max_columns = 500
max_fields = 50

[paths."user.address"]
policy = "freeze"

[paths.price]
type = "decimal(18, 2)"
rename = "price_eur"

[paths."user.ssn"]
exclude = true

[paths.payload]
keep = "json"

[paths.'"odd.key".at']
type = "timestamp"
"""


def test_a_file_with_every_key_is_read_and_travels_as_json() -> None:
    rules = rules_from_toml(FILE)
    assert (rules.policy, rules.max_depth, rules.max_columns, rules.max_fields) == (Policy.RESCUE, 8, 500, 50)
    assert rules.policy_at(("user", "address", "street")) is Policy.FREEZE
    assert rules.policy_at(("user", "name")) is Policy.RESCUE
    assert rules.excluded == (("user", "ssn"),)
    assert rules.renamed == {("price",): "price_eur"}
    pins = {path: rule.pin.to_json() for path, rule in rules.paths.items() if rule.pin is not None}
    assert pins == {("price",): "decimal(18,2)", ("payload",): "json", ("odd.key", "at"): "timestamp"}
    assert rules_from_json(json.loads(json.dumps(rules_to_json(rules)))) == rules


def test_an_empty_file_gives_the_defaults() -> None:
    assert rules_from_toml("") == Rules()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("policy = 'evolv'", "policy: 'evolv' is no policy; write one of evolve, rescue, freeze"),
        ("policy = ", "it is no TOML"),
        ("polcy = 'evolve'", "polcy means nothing; known are"),
        ("max_depth = 0", "max_depth: 0 is not a whole number from 1 to 64"),
        ("max_fields = true", "max_fields: True is not a whole number"),
        ("paths = 3", "paths: write a table for each path"),
        ("[paths.'a..b']\nexclude = true", "paths: 'a..b' is not a JSON path"),
        ("[paths.a]", "paths.'a' says nothing"),
        ("[paths.a]\ntype = 'strng'", "paths.'a'.type: 'strng' is no type; write one of bool, int"),
        ("[paths.a]\ntype = 'decimal(39,2)'", "paths.'a'.type: a decimal has 1 to 38 digits"),
        ("[paths.a]\ntype = 3", "paths.'a'.type: 3 is no text"),
        ("[paths.a]\nexclude = 'yes'", "paths.'a'.exclude: 'yes' is no true or false"),
        ("[paths.a]\nexclude = true\ntype = 'int'", "paths.'a' is excluded, so no other rule"),
        ("[paths.a]\nkeep = 'xml'", "paths.'a'.keep: the only way to keep a value is \"json\""),
        ("[paths.a]\nkeep = 'json'\ntype = 'int'", "paths.'a'.keep"),
        ("[paths.a]\nrename = 'Name'", "paths.'a'.rename: 'Name' is no column name"),
        ("[paths.a]\nrename = '1st'", "paths.'a'.rename: '1st' is no column name"),
        ("[paths.a]\nrename = 'year'", "paths.'a'.rename: 'year' is a column that every row has already"),
        ("[paths.a]\nrename = 'x'\n[paths.b]\nrename = 'x'", "paths.'b': paths.'a' is renamed to 'x' too"),
        ("[paths.a]\nkeep = 'json'\n[paths.'a.b']\ntype = 'int'", "paths.'a.b' lies inside paths.'a'"),
        ("[paths.user.name]\ntype = 'int'", "paths.'user'.name means nothing"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_that_names_the_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        rules_from_toml(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file or directory"), (b"\xff", "it is not UTF-8"), (b"policy = 3", "policy: 3 is no policy")],
)
def test_a_wrong_file_ends_a_command_with_the_setting_and_the_path(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "contract.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        contract_rules(load_settings(contract_file=path))
    assert str(raised.value).startswith(f"LAKE_CONTRACT_FILE: {path}: {problem}")


def grown(rules: Rules, *records: dict[str, Any], base: Contract | None = None) -> Contract:
    contract = base.under(rules) if base is not None else Contract(rules=rules)
    return contract.grown(infer(records, rules))


def types(contract: Contract) -> dict[str, str]:
    return {column.name: str(column.type) for column in contract.columns}


def test_a_path_that_is_pinned_has_its_type_whatever_is_seen() -> None:
    rules = rules_from_toml("[paths.'a.at']\ntype='timestamp'\n[paths.n]\ntype='int'\n[paths.x]\ntype='double'")
    contract = grown(rules, {"a": {"at": 5}, "n": 1.5, "x": 1})
    assert types(contract) == {"a_at": "timestamp[us, tz=UTC]", "n": "int64", "x": "double"}
    assert contract.widenings(infer([{"n": 2.5}])) == {}
    assert Contract.from_json(json.loads(json.dumps(contract.to_json()))).root == contract.root


def test_a_pin_leaves_a_column_that_exists_as_it_is() -> None:
    contract = grown(Rules(), {"n": 1}).with_version(1)
    later = grown(rules_from_toml("[paths.n]\ntype='string'\nrename='m'"), {"n": "x"}, base=contract)
    assert types(later) == {"n": "int64"}


def test_under_rescue_no_column_comes_and_what_was_seen_is_known() -> None:
    contract = grown(Rules(), {"a": 1, "o": {"k": 1}}).with_version(1)
    later = grown(Rules(policy=Policy.RESCUE), {"a": 1, "b": {"c": 1}, "o": {"l": 2}}, base=contract)
    assert types(later) == types(contract)
    assert later.rescued == (("b",), ("o", "l"))
    assert later == contract, "nothing that is stored has changed"
    assert later.arrow_schema() is later.grown(infer([{"z": 1}])).arrow_schema()


def test_a_path_may_evolve_in_a_contract_that_is_frozen() -> None:
    rules = rules_from_toml("policy='freeze'\n[paths.extra]\npolicy='evolve'")
    contract = grown(rules, {"a": 1, "extra": {"x": 1}}).with_version(1)
    later = grown(rules, {"a": 1, "b": 1, "extra": {"y": "text"}}, base=contract)
    assert types(later) == {"a": "int64", "extra_x": "int64", "extra_y": "string"}
    assert later.rescued == ()


def test_what_lies_deeper_than_the_limit_is_json() -> None:
    rules = Rules(max_depth=2)
    contract = grown(rules, {"a": {"b": {"c": 1}, "d": 1}, "l": [{"x": [1]}], "m": [1]})
    assert types(contract) == {"a_b": "string", "a_d": "int64", "l": "string", "m": "list<element: int64>"}
    assert next(column.shape.kind for column in contract.columns) is Kind.JSON
    assert contract.arrow_schema().field("a_b").metadata == {b"json_path": b"a.b", b"json": b"true"}


def test_a_rule_keeps_what_is_around_it_an_object() -> None:
    rules = rules_from_toml("max_depth=1\nmax_fields=1\n[paths.'a.b.c']\ntype='int'")
    contract = grown(rules, {"a": {"b": {"c": 1, "d": 2}, "x": 3}})
    assert "a_b_c" in types(contract)


@pytest.mark.parametrize(
    "records",
    [
        [{"m": {f"user-{n}": n for n in range(40)}}],
        [{"m": {f"id{n}-{k}": 1 for k in range(2)}} for n in range(30)],
        [{"l": [{f"id{n}-{k}": 1 for k in range(2)}]} for n in range(30)],
    ],
)
def test_an_object_whose_keys_are_data_is_one_json_column(records: list[dict[str, Any]]) -> None:
    assert list(types(grown(Rules(max_fields=35), *records)).values()) == ["string"]


def test_a_wide_object_whose_keys_come_back_is_no_map() -> None:
    records = [{"m": {f"k{k}": n for k in range(60)}} for n in range(30)]
    assert len(types(grown(Rules(), *records))) == 60


def test_the_table_never_has_more_columns_than_the_limit() -> None:
    rules = Rules(max_columns=3)
    contract = grown(rules, {"a": 1, "b": {"c": 1, "d": 1}, "e": 1, "f": {"g": 1}})
    assert list(types(contract)) == ["a", "b_c", "b_d"]
    assert contract.rescued == (("e",), ("f", "g"))


def test_a_name_that_is_given_goes_to_no_other_path() -> None:
    rules = rules_from_toml("[paths.b]\nrename='a'\n[paths.user]\nrename='u'")
    contract = grown(rules, {"a": 1, "b": 2, "user": {"name": "x"}})
    names = {column.path: column.name for column in contract.columns}
    assert names["b",] == "a"
    assert names["user", "name"] == "u_name"
    assert names["a",].startswith("a_")


def test_names_inside_lists_stay_what_they_are_when_a_field_gets_its_type_late() -> None:
    contract = grown(Rules(), {"l": [{"A": None, "a": 1, "1st": 2}]})
    assert types(contract) == {"l": "list<element: struct<a_" + types(contract)["l"].split("struct<a_")[1]}
    later = grown(Rules(), {"l": [{"A": 5}]}, base=contract)
    before, after = contract.columns[0].shape.item, later.columns[0].shape.item
    assert before is not None
    assert after is not None
    assert before.names.items() <= after.names.items()
    assert before.names["1st"] == "c_1st"


def test_an_excluded_part_of_what_is_kept_as_json_is_refused() -> None:
    contract = grown(Rules(max_depth=1), {"a": {"secret": 1}}).with_version(1)
    with pytest.raises(SettingsError, match=r"LAKE_CONTRACT_FILE: paths.'a.secret'.*kept as JSON"):
        contract.under(rules_from_toml("[paths.'a.secret']\nexclude=true"))
