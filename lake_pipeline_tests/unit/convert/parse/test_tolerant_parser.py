"""The tolerant parser: operations on many values give the same results as operations on each."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lake_pipeline.contract import rescue
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.exact_json import decode
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.rescue import fit, to_text
from lake_pipeline.convert.parse import tolerant
from lake_pipeline.convert.parse.tolerant import MalformedRecord, loads

plain = st.sampled_from([None, True, 1, 2**53 + 1, 2**70, 0.5, "x", "\ud800", "ü"])
items = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)
lists = st.lists(items, max_size=6) | st.lists(st.dictionaries(st.just("a"), plain, max_size=1), max_size=6)


@given(learned=lists, values=lists)
def test_fitting_a_long_list_equals_fitting_its_items_one_by_one(learned: list[Any], values: list[Any]) -> None:
    root = Contract().evolved(infer([decode(json.dumps({"l": learned}))])).parser_rules.root
    with pytest.MonkeyPatch.context() as patch:
        results = []
        for many in (1, 2, 1000):
            patch.setattr(rescue, "SLICE_VALUES", many)
            fitted, rescued = fit(decode(json.dumps({"l": values})), root)
            results.append((fitted, to_text(rescued)))
    assert results[0] == results[1] == results[2]


def test_a_record_with_too_many_objects_is_rejected_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerant, "MAX_OBJECTS", 3)
    assert loads(b'{"a":[{},{}],"b":"{{{{"}') == {"a": [{}, {}], "b": "{{{{"}
    with pytest.raises(MalformedRecord, match="more than 3 objects in a record") as caught:
        loads(b'{"a":[{},{},{}]}')
    assert caught.value.reason == "too_many_objects"


def test_a_too_deep_record_is_reported_as_such_with_any_number_of_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerant, "MAX_OBJECTS", 3)
    with pytest.raises(MalformedRecord) as caught:
        loads(b'{"a":' * 300 + b"1" + b"}" * 300)
    assert caught.value.reason == "too_deep"


def test_inference_treats_an_object_with_repeated_keys_as_an_object() -> None:
    assert infer([decode('{"a":1,"o":{"b":1,"b":2}}'), decode('{"a":1,"a":2,"c":0.5}')]).to_json() == {
        "fields": [["a", "int"], ["o", {"fields": [["b", "int"]]}], ["c", "double"]]
    }
