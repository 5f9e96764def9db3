"""What an engine is given and what it gives back. Both travel as JSON to wherever the kernel runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol, runtime_checkable

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.rules import Rules
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import Manifest

DEFAULT_KEY_PATTERN = (
    r"date=(?P<date>\d{4}-\d{2}-\d{2})|mode=(?P<mode>[^/=]+?)(?=[/_.]|$)"
    r"|year=(?P<year>\d{4})|month=(?P<month>\d{1,2})|day=(?P<day>\d{1,2})"
)
"""Only labelled parts of a key count (`date=2026-02-03`, `mode=live`, Hive folders): a key is never guessed at."""


class Truncated(StrEnum):
    """What becomes of a compressed file that ends early."""

    REFUSE = "refuse"
    KEEP = "keep"


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """How records become rows. Every field has a `LAKE_*` setting of the same name.

    `date_field` and `mode_field` are dotted JSON paths. Days before `first_date` or after `last_date` are
    quarantined. `max_bad_share` is the tolerated share (0 to 1) of broken records in a file. `part_bytes` is the
    size in bytes, in memory, at which a part is closed; `memory_bytes` bounds what all open parts buffer.
    `rules` say how the contract grows; they come from the file that `LAKE_CONTRACT_FILE` names. `time_zone` is the
    IANA name of the zone whose days are the days of the partitions. `max_record_bytes` is the longest record: one
    passes through about eight copies of itself (text, line, values, columns, Parquet page), and a few are under way
    at a time.
    """

    date_field: str = "event_time"
    mode_field: str = "mode"
    default_mode: str = "unknown"
    key_pattern: str = DEFAULT_KEY_PATTERN
    first_date: date = date(2010, 1, 1)
    last_date: date = date(9999, 12, 31)
    time_zone: str = "UTC"
    rules: Rules = field(default_factory=Rules)
    max_bad_share: float = 0.1
    truncated: Truncated = Truncated.REFUSE
    max_record_bytes: int = 32 << 20
    part_bytes: int = 512 << 20
    memory_bytes: int = 256 << 20
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """One batch to convert. `contract` is the ledger's current one; None means that none exists yet.

    Columns older than the contract version `widens_from` keep their type whatever comes. `share` is in the name of
    every object: where several workers convert parts of a batch, each has another one.
    """

    batch_id: str
    files: tuple[RawFile, ...]
    contract: Contract | None
    options: ConversionOptions = field(default_factory=ConversionOptions)
    widens_from: int = 0
    share: str = ""


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion made: pending parts, the account of each file, and the contract they were written with.

    `contract.version` is the version the conversion started from; `contract` may have more and wider columns than
    that. `evidence` is what the published rows held.
    """

    manifest: Manifest
    contract: Contract
    bytes_read: int
    seconds: float
    evidence: Evidence = field(default_factory=Evidence)


Progress = Callable[[int, int], None]
"""Called with (files done, bytes done) now and then, from any thread."""


class Engine(Protocol):
    """A place where the kernel runs."""

    @property
    def name(self) -> str: ...

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        """Convert every file of the request. A bad file is an outcome in the report, not an error.

        Raises `TransientError` when the whole batch should be tried again; pending objects are then aborted.
        """
        ...


@runtime_checkable
class RemoteEngine(Engine, Protocol):
    """An engine whose runs live on without the process that started them: Glue, or Spark on a cluster.

    The id of a run is noted in the ledger as soon as it is known, so that whoever takes over a batch attaches to the
    run of the worker before, instead of starting another one. `convert` is `start` and `attach`.
    """

    def start(self, request: ConversionRequest) -> str:
        """Start a run and return its id without waiting for it. Raises `TransientError` where none was started."""
        ...

    def is_alive(self, run_id: str) -> bool:
        """Whether `attach` is worth it: the run is at work, or it has ended with a report.

        Raises `TransientError` where that can't be told now; the run then counts as alive.
        """
        ...

    def find(self, batch_id: str) -> str | None:
        """The newest run that was started for a batch, whoever started it; None where there is none.

        Raises `TransientError` where that can't be told now.
        """
        ...

    def attach(self, run_id: str, *, on_progress: Progress | None = None) -> ConversionReport:
        """Wait for the end of a run, whoever started it, and return its report; again and again the same one.

        Raises `TransientError` where it failed or was stopped.
        """
        ...

    def stop(self, run_id: str) -> None:
        """End a run that nobody waits for any more. Harmless when it is over."""
        ...
