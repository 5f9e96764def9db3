"""The fields of sampled records: how often each has a value, and some of its values.

Fields inside lists are not counted: they can be neither the date nor the mode of a record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.model.redaction import MASK, is_secret_name, looks_like_credential

MAX_FIELDS = 5_000
"""Fields that are looked at. If keys are data, there may be any number."""

MAX_DEPTH = 8

EXAMPLES = 3
EXAMPLE_CHARACTERS = 40


@dataclass
class Field:
    """One path: its values by the index of the record, without nulls, and how many records have it."""

    path: Path
    records: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @property
    def is_scalar(self) -> bool:
        """Whether no value is an object or a list."""
        return not any(isinstance(value, dict | list) for value in self.values)

    @property
    def examples(self) -> tuple[str, ...]:
        """A few different values as JSON, each cut to one short line."""
        texts = dict.fromkeys(example(self.path, value) for value in self.values[:200])
        return tuple(texts)[:EXAMPLES]


def fields_of(records: Sequence[Mapping[str, Any]], excluded: Iterable[Path] = ()) -> dict[Path, Field]:
    """The fields of the records, in the order of their first appearance, without those that the contract excludes."""
    fields: dict[Path, Field] = {}
    hidden = set(excluded)
    for index, record in enumerate(records):
        _note(record, (), index, fields, hidden)
    return fields


def _note(value: Mapping[str, Any], above: Path, index: int, fields: dict[Path, Field], hidden: set[Path]) -> None:
    for key, child in value.items():
        path = (*above, key)
        if child is None or path in hidden:
            continue
        known = fields.get(path)
        if known is None:
            if len(fields) >= MAX_FIELDS:
                continue
            known = fields[path] = Field(path)
        known.records.append(index)
        known.values.append(child)
        if isinstance(child, dict) and len(path) < MAX_DEPTH:
            _note(child, path, index, fields, hidden)


def example(path: Path, value: Any) -> str:
    """A value as JSON on one short line; hidden if its name or its content looks like a credential."""
    if any(map(is_secret_name, path)) or (isinstance(value, str) and looks_like_credential(value)):
        return MASK
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= EXAMPLE_CHARACTERS else f"{text[: EXAMPLE_CHARACTERS - 1]}…"
