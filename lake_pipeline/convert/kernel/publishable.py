"""Publishable records: those that get a partition. Only they decide about columns.

A file beside the data (a manifest, an answer of an API) often has no date: all of it is quarantined, and its fields
would be columns of nothing for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lake_pipeline.contract.paths import parse_path
from lake_pipeline.convert.parse.tolerant import value_in
from lake_pipeline.convert.partition.assign import PartitionAssigner
from lake_pipeline.convert.request import ConversionOptions


class PublishableRecords:
    """Chooses the records of one file that have a partition."""

    def __init__(self, options: ConversionOptions) -> None:
        self._assigner = PartitionAssigner(options)
        self._day_paths = options.date_paths
        self._mode_path = parse_path(options.mode_field)

    def of_file(self, key: str, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of `records`, of the file with this key, that have a partition."""
        if not records:
            return []
        days = [[value_in(record, path) for record in records] for path in self._day_paths]
        modes = [value_in(record, self._mode_path) for record in records]
        source = np.zeros(len(records), dtype=np.int32)
        problems = self._assigner.assign(days, modes, [self._assigner.key_defaults(key)], source).problems
        return [record for row, record in enumerate(records) if row not in problems]
