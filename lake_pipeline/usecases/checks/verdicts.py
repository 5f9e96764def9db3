"""Verdicts: the results of a partition's checks, as values. `verify` and `expectations` compute them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lake_pipeline.ledger.curated import PartitionAccount
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of one check: a sentence for people, `facts` for tables and plots.

    A verdict that `warns` has passed, and asks for an action.
    """

    passed: bool
    text: str
    warns: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PartitionVerdicts:
    """All checks of one partition, with its account.

    The first three say whether the published rows are right. The others say whether everything promised is there:
    those warn and never fail.
    """

    partition: PartitionKey
    account: PartitionAccount
    row_count: Verdict
    schema: Verdict
    conservation: Verdict
    completeness: Verdict
    quarantine_share: Verdict
    freshness: Verdict

    @property
    def passed(self) -> bool:
        """Whether no check failed; some may warn."""
        return all(verdict.passed for _, verdict in self.named())

    def named(self) -> Iterator[tuple[str, Verdict]]:
        """Each verdict with the name of its check."""
        for check in fields(self):
            verdict = getattr(self, check.name)
            if isinstance(verdict, Verdict):
                yield check.name, verdict
