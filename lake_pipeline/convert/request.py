"""The input and output of an engine. Both can be sent as JSON to the process that runs the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Protocol, runtime_checkable

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.paths import Path, parse_path
from lake_pipeline.contract.rules import Rules
from lake_pipeline.model.defaults import MAX_BLANK_BYTES, MAX_UNPACKED_RATIO, ZSTD_WINDOW
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import Manifest

DEFAULT_KEY_PATTERN = (
    r"date=(?P<date>\d{4}-\d{2}-\d{2})|mode=(?P<mode>[^/=]+?)(?=[/_.]|$)"
    r"|year=(?P<year>\d{4})|month=(?P<month>\d{1,2})|day=(?P<day>\d{1,2})"
)
"""Only labeled parts of a key count (`date=2026-02-03`, `mode=live`, Hive folders): keys are never guessed at."""


class Truncated(StrEnum):
    """What to do with a compressed file that ends early."""

    REFUSE = "refuse"
    KEEP = "keep"


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """How records become rows. Every field has a `LAKE_*` setting of the same name.

    `date_field` and `mode_field` are dotted JSON paths; `date_field` may have several, separated by commas, and the
    first with a value counts. `date_formats` are formats besides the usual ones (`partition.date_formats`).
    `default_date` is for records without any date: a day, or `week` for the folder of their file. Days before
    `first_date` or after `last_date` are quarantined.
    `max_bad_share` is the tolerated ratio (0 to 1) of malformed records in a file. `part_bytes` is the size in memory
    at which a part is closed; `memory_bytes` bounds the buffers of all open parts. `rules` control how the contract
    evolves; they come from the file in `LAKE_CONTRACT_FILE`. `time_zone` is the IANA name of the zone whose days are
    the partitions' days. `max_record_bytes` is the longest record: about eight copies of it exist during a conversion
    (text, line, values, columns, Parquet page), and a few records are in progress at a time.
    `max_unpacked_ratio` is the most text per stored byte of a compressed file, and `max_blank_bytes` the most text of
    it without a record. `zstd_window` is the largest window of zstd data.
    """

    date_field: str = "event_time"
    date_formats: str = ""
    default_date: str = ""
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
    max_unpacked_ratio: int = MAX_UNPACKED_RATIO
    max_blank_bytes: int = MAX_BLANK_BYTES
    zstd_window: int = ZSTD_WINDOW
    part_bytes: int = 512 << 20
    memory_bytes: int = 256 << 20
    workers: int = 2

    @cached_property
    def date_paths(self) -> tuple[Path, ...]:
        """The paths of the date fields, in the order in which they count."""
        return tuple(parse_path(field.strip()) for field in self.date_field.split(","))


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """One batch to convert. `contract` is the ledger's current one; None if none exists yet.

    Workers on other machines check that their root is that of the lake `lake_id`; None if there is no ledger. Columns
    older than the contract version `widens_from` keep their type in any case, and so do those at the paths `kept`,
    which hold integers that no double holds. `shard` is in the name of every
    object: if several workers convert parts of a batch, each has another one.
    """

    batch_id: str
    files: tuple[RawFile, ...]
    contract: Contract | None
    options: ConversionOptions = field(default_factory=ConversionOptions)
    widens_from: int = 0
    kept: frozenset[str] = frozenset()
    shard: str = ""
    lake_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """The result of a conversion: pending parts, the counts of each file, and the contract they were written with.

    `contract.version` is the version the conversion started from; `contract` may have more and wider columns than that
    version. `evidence` describes the values of the published rows.
    """

    manifest: Manifest
    contract: Contract
    bytes_read: int
    seconds: float
    evidence: Evidence = field(default_factory=Evidence)


Progress = Callable[[int, int], None]
"""Called with (files done, bytes done) from time to time, from any thread."""


class Engine(Protocol):
    """Runs the kernel somewhere."""

    @property
    def name(self) -> str: ...

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        """Convert every file of the request. A bad file is an outcome in the report, not an error.

        Raises `Outage` if the store or the engine fails, whatever the files, `WorkersLost` if its workers died, and
        another `TransientError` if the whole batch should be retried; pending objects are then aborted.
        """
        ...


@runtime_checkable
class ProbedEngine(Protocol):
    """An engine that can check whether it would convert, without files."""

    def probe(self) -> None:
        """Start or look up what every conversion needs. Raises `EngineUnavailable`."""
        ...


@runtime_checkable
class RemoteEngine(Engine, Protocol):
    """An engine whose runs outlive the process that started them: Glue, or Spark on a cluster.

    The ledger records the id of a run as soon as it is known. A worker that takes over a batch attaches to the existing
    run instead of starting another one. `convert` is `start` and `attach`.
    """

    def start(self, request: ConversionRequest) -> str:
        """Start a run and return its id without waiting for it. Raises `TransientError` if none was started."""
        ...

    def is_alive(self, run_id: str) -> bool:
        """Whether `attach` is useful: the run is active, or it ended with a report.

        Raises `TransientError` if that is unknown now; the run then counts as alive.
        """
        ...

    def find(self, batch_id: str) -> str | None:
        """The newest run that any process started for a batch; None if there is none.

        Raises `TransientError` if that is unknown now.
        """
        ...

    def attach(self, run_id: str, *, on_progress: Progress | None = None) -> ConversionReport:
        """Wait for the end of a run and return its report. Repeated calls return the same one.

        Raises `TransientError` if it failed or was stopped.
        """
        ...

    def stop(self, run_id: str) -> None:
        """Stop a run that is no longer needed. Harmless if it has ended."""
        ...
