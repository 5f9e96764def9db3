"""Values that rules decode before records are parsed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lake_pipeline.contract.rules_file import rules_from_json, rules_from_toml, rules_to_json
from lake_pipeline.convert.parse.decode import Decoder
from lake_pipeline_tests.support.factories import LakeOnDisk, values

KEY = "2026/week06/a.json"


def decoded(rule: str, value: str) -> str:
    line = Decoder(rules_from_toml(f"[paths.a]\n{rule}")).line(f'{{"x": 1.50, "a" : {value} ,"y":"a"}}'.encode())
    assert line.startswith(b'{"x": 1.50, "a" : ')
    assert line.endswith(b' ,"y":"a"}')
    return line.decode()[18:-10]


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ('decode="json"', '"{\\"t\\": 1.50,\\n \\"u\\":\\"\\\\u00fc\\"}\\n"', '{"t": 1.50,  "u":"\\u00fc"}'),
        ('decode="json"', '"[1,2]"', "[1,2]"),
        ('decode="json"', '"plain"', '"plain"'),
        ('decode="json"', '"5"', '"5"'),
        ('decode="json"', '"{broken"', '"{broken"'),
        ('decode="json"', "{}", "{}"),
        ('decode="dynamodb"', '{"n":{"N":"1234567890123456.10"},"s":{"S":"x"}}', '{"n":1234567890123456.10,"s":"x"}'),
        ('decode="dynamodb"', '{"l":{"L":[{"S":"x"},{"N":"1"}]},"z":{"NULL":true}}', '{"l":["x",1],"z":null}'),
        ('decode="dynamodb"', '{"S":{"S":"x"}}', '{"S":"x"}'),
        ('decode="dynamodb"', '{"M":{"k":{"NS":["1","2"]}}}', '{"k":[1,2]}'),
        ('decode="dynamodb"', '{"N":"many"}', '{"N":"many"}'),
        ('decode="mongo"', '{"i":{"$oid":"ab"},"n":[{"$numberLong":"5"}]}', '{"i":"ab","n":[5]}'),
        ('decode="mongo"', '{"$date":{"$numberLong":"1704164645123"}}', "1704164645123"),
        ('decode="mongo"', '{"$date":"2024-01-02T03:04:05Z"}', '"2024-01-02T03:04:05Z"'),
        ('decode="mongo"', '{"$numberDouble":"NaN"}', '{"$numberDouble":"NaN"}'),
        ('decode="mongo"', '{"b":1,"b":{"$oid":"x"}}', '{"b":1,"b":{"$oid":"x"}}'),
        ('type="int"\nfrom_text=true', '" 5 "', "5"),
        ('type="int"\nfrom_text=true', '"5.0"', '"5.0"'),
        ('type="int"\nfrom_text=true', '"99999999999999999999"', '"99999999999999999999"'),
        ('type="double"\nfrom_text=true', '"1.50"', "1.50"),
        ('type="bool"\nfrom_text=true', '"True"', "true"),
        ('type="timestamp"\nfrom_text=true', '"1704164645"', "1704164645"),
    ],
)  # fmt: skip
def test_a_value_is_decoded_exactly_or_stays_as_it_is(rule: str, value: str, expected: str) -> None:
    assert decoded(rule, value) == expected


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b'{"a"', b'{"a":"\xff"}', b'{"a":tru}', b"null"])
def test_a_line_that_is_no_record_stays_as_it_is(line: bytes) -> None:
    assert Decoder(rules_from_toml('[paths.a]\ndecode="json"')).line(line) == line


def test_json_in_a_text_becomes_columns_and_its_date_is_the_date(tmp_path: Path) -> None:
    inner = json.dumps({"t": "2026-02-03", "n": "7", "level": "info"})
    lines = 2 * (json.dumps({"log": inner + "\n", "mode": "m"}) + "\n") + '{"log":"text","mode":"m"}\n'
    rules = rules_from_toml('[paths.log]\ndecode="json"\n[paths."log.n"]\ntype="int"\nfrom_text=true')
    converted = LakeOnDisk(tmp_path).convert({KEY: lines.encode()}, rules=rules, date_field="log.t")
    assert values(converted.rows(), "log_n", "log_level", "_rescued") == 2 * [(7, "info", None)]
    assert values(converted.quarantined(), "reason", "raw") == [("no_date", b'{"log":"text","mode":"m"}')]


def test_items_of_dynamodb_have_columns_without_types(tmp_path: Path) -> None:
    line = '{"Item":{"PK":{"S":"USER#1"},"created":{"S":"2026-02-03T00:00:00Z"},"n":{"N":"5"}},"mode":"m"}\n'
    rules = rules_from_toml('[paths.Item]\ndecode="dynamodb"')
    converted = LakeOnDisk(tmp_path).convert({KEY: line.encode()}, rules=rules, date_field="Item.created")
    assert values(converted.rows(), "item_pk", "item_n") == [("USER#1", 5)]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ('decode="yaml"', "json, dynamodb, mongo"),
        ('decode="json"\ntype="int"', "no type"),
        ('type="string"\nfrom_text=true', "from_text needs a type"),
        ("from_text=true", "from_text needs a type"),
        ('from_text="yes"\ntype="int"', "true or false"),
    ],
)
def test_a_contradiction_is_refused(rule: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        rules_from_toml(f"[paths.a]\n{rule}")


def test_the_rules_survive_the_way_to_the_file_and_back() -> None:
    rules = rules_from_toml('[paths.a]\ndecode="json"\n[paths.b]\ntype="int"\nfrom_text=true')
    assert rules_from_json(rules_to_json(rules)) == rules
