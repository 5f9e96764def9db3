"""Candidates for the date and the mode of a record: the fields that would work, the best first.

Whether a value is a usable date or mode is decided by the code that assigns partitions. Names only break ties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.convert.partition.assign import UNPARTITIONED, KeyDefaults, PartitionAssigner
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.redaction import is_secret_name
from lake_pipeline.usecases.inspection.fields import Field, example
from lake_pipeline.usecases.inspection.findings import Candidate

SHOWN = 3

MAX_MODES = 50
"""Distinct values from which a field is no mode: each is a folder for every day."""

MODE_REPEATS = 3
"""Records that a mode must have on average, or it is an id."""

_DATE_NAME = re.compile(r"time|date|day|^ts$|_ts$|stamp|created|updated|_at$|At$", re.IGNORECASE)
_FIRST_CHOICE = re.compile(r"event|created|occurred|timestamp|^time$|^ts$|^date$", re.IGNORECASE)
_MODE_NAME = re.compile(r"mode|type|kind|event|categor|env|channel|source|status|level|action|topic", re.IGNORECASE)


def date_candidates(fields: Mapping[Path, Field], records: int, options: ConversionOptions) -> tuple[Candidate, ...]:
    """The fields whose values are dates in the allowed range, in any of the records."""
    assigner = PartitionAssigner(_one_field(options))
    found: list[tuple[tuple[Any, ...], Candidate]] = []
    for position, field in enumerate(_scalars(fields)):
        usable = _usable_dates(assigner, field.values)
        if not usable:
            continue
        name, values = field.path[-1], len(field.values)
        # Numbers may be dates by accident: only if all of them are, or the name says so.
        if not isinstance(usable[0], str) and (len(usable) < values or not _DATE_NAME.search(name)):
            continue
        candidate = Candidate(
            path=show_path(field.path), records=len(usable), of=records, example=example(field.path, usable[0])
        )
        rank = (-len(usable), not _FIRST_CHOICE.search(name), not _DATE_NAME.search(name), len(field.path), position)
        found.append((rank, candidate))
    return _best(found)


def mode_candidates(
    fields: Mapping[Path, Field], records: int, dates: Iterable[Candidate], options: ConversionOptions
) -> tuple[Candidate, ...]:
    """The fields with few different values, each of many records, which are no dates."""
    assigner = PartitionAssigner(_one_field(options))
    taken = {candidate.path for candidate in dates}
    found: list[tuple[tuple[Any, ...], Candidate]] = []
    for position, field in enumerate(_scalars(fields)):
        if show_path(field.path) in taken or any(isinstance(value, float) for value in field.values):
            continue
        distinct = dict.fromkeys(map(str, field.values))
        if len(distinct) > MAX_MODES or len(distinct) * MODE_REPEATS > max(len(field.values), MODE_REPEATS):
            continue
        name = field.path[-1]
        if is_secret_name(name) or (len(distinct) == 1 and not _MODE_NAME.search(name)):
            continue
        usable = _usable_modes(assigner, field.values, options)
        if not usable:
            continue
        candidate = Candidate(
            path=show_path(field.path),
            records=usable,
            of=records,
            example=", ".join(dict.fromkeys(example(field.path, value) for value in field.values[:200])),
            distinct=len(distinct),
        )
        rank = (-usable, name != "mode", not _MODE_NAME.search(name), len(distinct) == 1, len(field.path), position)
        found.append((rank, candidate))
    return _best(found)


def _one_field(options: ConversionOptions) -> ConversionOptions:
    """The options to try a single field: nothing else gives a record its date."""
    return replace(options, date_field="any", default_date="")


def _scalars(fields: Mapping[Path, Field]) -> list[Field]:
    return [field for field in fields.values() if field.is_scalar]


def _best(found: list[tuple[tuple[Any, ...], Candidate]]) -> tuple[Candidate, ...]:
    return tuple(candidate for _, candidate in sorted(found, key=lambda pair: pair[0])[:SHOWN])


def _usable_dates(assigner: PartitionAssigner, values: Sequence[Any]) -> list[Any]:
    codes = _codes(assigner, values, ["any"] * len(values))
    return [value for value, code in zip(values, codes, strict=True) if code != UNPARTITIONED]


def _usable_modes(assigner: PartitionAssigner, values: Sequence[Any], options: ConversionOptions) -> int:
    a_day = options.first_date.isoformat()
    return sum(code != UNPARTITIONED for code in _codes(assigner, [a_day] * len(values), values))


def _codes(assigner: PartitionAssigner, days: Sequence[Any], modes: Sequence[Any]) -> list[int]:
    nothing = KeyDefaults(None, "any")
    assigned = assigner.assign([list(days)], list(modes), [nothing], np.zeros(len(days), np.int32))
    codes: list[int] = assigned.codes.tolist()
    return codes
