"""Verdicts: the answers of a partition's checks, as values. They are found in `verify` and `expectations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lake_pipeline.ledger.views import PartitionAccount
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of one check: a sentence for people, `facts` for tables and plots.

    One that `warns` has passed, and asks for something.
    """

    passed: bool
    text: str
    warns: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PartitionVerdicts:
    """All checks of one partition, with its account.

    The first three say whether what is there is right, the others whether all is there that was promised: those
    warn and never fail.
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
        for each in fields(self):
            verdict = getattr(self, each.name)
            if isinstance(verdict, Verdict):
                yield each.name, verdict
