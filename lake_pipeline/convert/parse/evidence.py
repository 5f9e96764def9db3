"""The evidence that rows give about their columns, from null counts.

Values that fit their column cost two scans of a bitmap. Only values that fit no column are inspected one by one, and
those were parsed one by one anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import ALL, Evidence, Seen
from lake_pipeline.contract.rescue import EXACT_INT, Number
from lake_pipeline.contract.shapes import Kind

Misfits = Mapping[int, Mapping[str, str]]
"""Row → path text → kind of the value that was rescued there."""


def collect_evidence(flat: pa.RecordBatch, contract: Contract, misfits: Misfits) -> Evidence:
    """The evidence in one or more flat rows, which begin with the columns of `contract` in their order."""
    evidence = Evidence()
    file_ids = flat.column("_file_id").to_numpy()
    rows, first, last = flat.num_rows, int(file_ids.min()), int(file_ids.max())
    evidence.seen[ALL, Kind.STRUCT.value] = Seen(rows, first, last)
    for (path, kind), column in zip(contract.evidence_keys, flat.columns, strict=False):
        count = rows - column.null_count
        if count == rows or (count and first == last):
            evidence.note(path, kind, Seen(count, first, last))
        elif count:
            holding = file_ids[column.is_valid().to_numpy(zero_copy_only=False)]
            evidence.note(path, kind, Seen(count, int(holding.min()), int(holding.max())))
    _note_misfits(evidence, flat, contract, file_ids, misfits)
    return evidence


def kind_of(value: Any) -> str:
    """The kind of a rescued value, by its JSON type; `number` is one that no column holds exactly.

    A list with an integer that no double holds is of the kind `int`: that is why a list of doubles does not hold it.
    """
    match value:
        case Number():
            return "number"
        case bool():
            return Kind.BOOL.value
        case int():
            return Kind.INT.value
        case float():
            return Kind.DOUBLE.value
        case str():
            return Kind.STRING.value
        case list():
            return Kind.INT.value if _has_large_integer(value) else Kind.LIST.value
        case _:
            return Kind.STRUCT.value


def _has_large_integer(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(map(_has_large_integer, value))
    return type(value) is int and abs(value) > EXACT_INT


def _note_misfits(
    evidence: Evidence, flat: pa.RecordBatch, contract: Contract, file_ids: npt.NDArray[np.int64], misfits: Misfits
) -> None:
    columns = {path: position for position, (path, _) in enumerate(contract.evidence_keys)} if misfits else {}
    for row, kinds in misfits.items():
        for path, kind in kinds.items():
            # A list that fits except for its untyped parts is both in its column and in `_rescued`: it counts once.
            if path in columns and flat.column(columns[path])[row].is_valid:
                continue
            file_id = int(file_ids[row])
            evidence.note_rescued(path, kind, Seen(1, file_id, file_id))
