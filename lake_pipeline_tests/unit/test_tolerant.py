"""The tolerant parser: what is done to many values at once is what would be done to each."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lake_pipeline.contract import rescue
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.exact import decode
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.rescue import fit, to_text
from lake_pipeline.convert import tolerant
from lake_pipeline.convert.tolerant import Broken, loads

plain = st.sampled_from([None, True, 1, 2**53 + 1, 2**70, 0.5, "x", "\ud800", "ü"])
items = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)
lists = st.lists(items, max_size=6) | st.lists(st.dictionaries(st.just("a"), plain, max_size=1), max_size=6)


@given(learnt=lists, values=lists)
def test_a_long_list_fits_as_its_items_fit_one_by_one(learnt: list[Any], values: list[Any]) -> None:
    root = Contract().grown(infer([decode(json.dumps({"l": learnt}))])).reading.root
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for many in (1, 2, 1000):
            patch.setattr(rescue, "MANY", many)
            fitted, rescued = fit(decode(json.dumps({"l": values})), root)
            found.append((fitted, to_text(rescued)))
    assert found[0] == found[1] == found[2]


def test_a_record_of_too_many_objects_is_broken_before_it_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerant, "MAX_OBJECTS", 3)
    assert loads(b'{"a":[{},{}],"b":"{{{{"}') == {"a": [{}, {}], "b": "{{{{"}
    with pytest.raises(Broken, match="more than 3 objects in a record") as caught:
        loads(b'{"a":[{},{},{}]}')
    assert caught.value.reason == "too_many_objects"


def test_a_record_that_is_too_deep_says_so_however_many_objects_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerant, "MAX_OBJECTS", 3)
    with pytest.raises(Broken) as caught:
        loads(b'{"a":' * 300 + b"1" + b"}" * 300)
    assert caught.value.reason == "too_deep"


def test_an_object_with_repeated_keys_is_an_object_to_inference() -> None:
    assert infer([decode('{"a":1,"o":{"b":1,"b":2}}'), decode('{"a":1,"a":2,"c":0.5}')]).to_json() == {
        "fields": [["a", "int"], ["o", {"fields": [["b", "int"]]}], ["c", "double"]]
    }
