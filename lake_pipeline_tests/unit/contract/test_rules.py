"""Rules: the file format, its errors, and the effect on names and shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.composition import contract_rules
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.rules_file import rules_from_json, rules_from_toml, rules_to_json
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.errors import SettingsError
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


def test_a_file_with_every_key_is_parsed_and_survives_json() -> None:
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
        ("policy = 'evolv'", "policy: 'evolv' is not a policy; use one of evolve, rescue, freeze"),
        ("policy = ", "it is not valid TOML"),
        ("polcy = 'evolve'", "polcy is unknown; use one of"),
        ("max_depth = 0", "max_depth: 0 is not an integer from 1 to 64"),
        ("max_fields = true", "max_fields: True is not an integer"),
        ("paths = 3", "paths: use a table for each path"),
        ("[paths.'a..b']\nexclude = true", "paths: 'a..b' is not a JSON path"),
        ("[paths.a]", "paths.'a' is empty"),
        ("[paths.a]\ntype = 'strng'", "paths.'a'.type: 'strng' is not a type; use one of bool, int"),
        ("[paths.a]\ntype = 'decimal(39,2)'", "paths.'a'.type: a decimal has 1 to 38 digits"),
        ("[paths.a]\ntype = 3", "paths.'a'.type: 3 is not a string"),
        ("[paths.a]\nexclude = 'yes'", "paths.'a'.exclude: 'yes' is not true or false"),
        ("[paths.a]\nexclude = true\ntype = 'int'", "paths.'a' is excluded, so no other rule"),
        ("[paths.a]\nkeep = 'xml'", "paths.'a'.keep: use keep = \"json\""),
        ("[paths.a]\nkeep = 'json'\ntype = 'int'", "paths.'a'.keep"),
        ("[paths.a]\nrename = 'Name'", "paths.'a'.rename: 'Name' is not a valid column name"),
        ("[paths.a]\nrename = '1st'", "paths.'a'.rename: '1st' is not a valid column name"),
        ("[paths.a]\nrename = 'year'", "paths.'a'.rename: 'year' is already a column of every row"),
        ("[paths.a]\nrename = 'x'\n[paths.b]\nrename = 'x'", "paths.'b': paths.'a' is renamed to 'x' too"),
        ("[paths.a]\nkeep = 'json'\n[paths.'a.b']\ntype = 'int'", "paths.'a.b' is inside paths.'a'"),
        ("[paths.user.name]\ntype = 'int'", "paths.'user'.name is unknown"),
    ],
)
def test_an_error_is_one_line_that_names_the_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        rules_from_toml(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file or directory"), (b"\xff", "it is not UTF-8"), (b"policy = 3", "policy: 3 is not a policy")],
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


def evolved(rules: Rules, *records: dict[str, Any], base: Contract | None = None) -> Contract:
    contract = base.with_rules(rules) if base is not None else Contract(rules=rules)
    return contract.evolved(infer(records, rules))


def types(contract: Contract) -> dict[str, str]:
    return {column.name: str(column.type) for column in contract.columns}


def test_a_pinned_path_has_its_type_for_any_values() -> None:
    rules = rules_from_toml("[paths.'a.at']\ntype='timestamp'\n[paths.n]\ntype='int'\n[paths.x]\ntype='double'")
    contract = evolved(rules, {"a": {"at": 5}, "n": 1.5, "x": 1})
    assert types(contract) == {"a_at": "timestamp[us, tz=UTC]", "n": "int64", "x": "double"}
    assert contract.widenings(infer([{"n": 2.5}])) == {}
    assert Contract.from_json(json.loads(json.dumps(contract.to_json()))).root == contract.root


def test_a_pin_does_not_change_an_existing_column() -> None:
    contract = evolved(Rules(), {"n": 1}).with_version(1)
    later = evolved(rules_from_toml("[paths.n]\ntype='string'\nrename='m'"), {"n": "x"}, base=contract)
    assert types(later) == {"n": "int64"}


def test_under_rescue_new_fields_get_no_column_and_are_recorded() -> None:
    contract = evolved(Rules(), {"a": 1, "o": {"k": 1}}).with_version(1)
    later = evolved(Rules(policy=Policy.RESCUE), {"a": 1, "b": {"c": 1}, "o": {"l": 2}}, base=contract)
    assert types(later) == types(contract)
    assert later.rescued == (("b",), ("o", "l"))
    assert later == contract, "nothing that is stored has changed"
    assert later.arrow_schema() is later.evolved(infer([{"z": 1}])).arrow_schema()


def test_a_path_may_evolve_in_a_frozen_contract() -> None:
    rules = rules_from_toml("policy='freeze'\n[paths.extra]\npolicy='evolve'")
    contract = evolved(rules, {"a": 1, "extra": {"x": 1}}).with_version(1)
    later = evolved(rules, {"a": 1, "b": 1, "extra": {"y": "text"}}, base=contract)
    assert types(later) == {"a": "int64", "extra_x": "int64", "extra_y": "string"}
    assert later.rescued == ()


def test_values_deeper_than_the_limit_are_json() -> None:
    rules = Rules(max_depth=2)
    contract = evolved(rules, {"a": {"b": {"c": 1}, "d": 1}, "l": [{"x": [1]}], "m": [1]})
    assert types(contract) == {"a_b": "string", "a_d": "int64", "l": "string", "m": "list<element: int64>"}
    assert next(column.shape.kind for column in contract.columns) is Kind.JSON
    assert contract.arrow_schema().field("a_b").metadata == {b"json_path": b"a.b", b"json": b"true"}


def test_the_objects_around_a_path_with_a_rule_stay_objects() -> None:
    rules = rules_from_toml("max_depth=1\nmax_fields=1\n[paths.'a.b.c']\ntype='int'")
    contract = evolved(rules, {"a": {"b": {"c": 1, "d": 2}, "x": 3}})
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
    assert list(types(evolved(Rules(max_fields=35), *records)).values()) == ["string"]


def test_a_wide_object_with_recurring_keys_is_not_a_map() -> None:
    records = [{"m": {f"k{k}": n for k in range(60)}} for n in range(30)]
    assert len(types(evolved(Rules(), *records))) == 60


def test_the_table_never_has_more_columns_than_the_limit() -> None:
    rules = Rules(max_columns=3)
    contract = evolved(rules, {"a": 1, "b": {"c": 1, "d": 1}, "e": 1, "f": {"g": 1}})
    assert list(types(contract)) == ["a", "b_c", "b_d"]
    assert contract.rescued == (("e",), ("f", "g"))


def test_a_name_from_a_rule_is_used_for_no_other_path() -> None:
    rules = rules_from_toml("[paths.b]\nrename='a'\n[paths.user]\nrename='u'")
    contract = evolved(rules, {"a": 1, "b": 2, "user": {"name": "x"}})
    names = {column.path: column.name for column in contract.columns}
    assert names["b",] == "a"
    assert names["user", "name"] == "u_name"
    assert names["a",].startswith("a_")


def test_names_inside_lists_do_not_change_if_a_field_gets_its_type_later() -> None:
    contract = evolved(Rules(), {"l": [{"A": None, "a": 1, "1st": 2}]})
    assert types(contract) == {"l": "list<element: struct<a_" + types(contract)["l"].split("struct<a_")[1]}
    later = evolved(Rules(), {"l": [{"A": 5}]}, base=contract)
    before, after = contract.columns[0].shape.item, later.columns[0].shape.item
    assert before is not None
    assert after is not None
    assert before.names.items() <= after.names.items()
    assert before.names["1st"] == "c_1st"


def test_excluding_a_part_of_a_json_column_is_refused() -> None:
    contract = evolved(Rules(max_depth=1), {"a": {"secret": 1}}).with_version(1)
    with pytest.raises(SettingsError, match=r"LAKE_CONTRACT_FILE: paths.'a.secret'.*JSON column"):
        contract.with_rules(rules_from_toml("[paths.'a.secret']\nexclude=true"))
