"""Every use case that publishes releases its claim in the same way, whatever stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Engine, Progress
from lake_pipeline.errors import LeaseLost, OutcomeUnknown, StorageUnavailable
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.batches.widen import widen_column
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.rewrites import remove_rows, widen_columns
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import is_sound, land, published
from lake_pipeline_tests.support.ledger_builders import end_backoffs, expire_leases, run_sql

KEY = "2026/week06/a.json"

FILES = {
    KEY: ndjson(*[{"event_time": "2026-02-03", "mode": "live", "n": n} for n in range(3)], {"mode": "live"}),
    "2026/week06/b.json": ndjson({"event_time": "2026-02-03", "mode": "live", "n": 3}),
}

WAITING = {"2026/week07/c.json": ndjson({"event_time": "2026-02-04", "mode": "live", "n": 4}, {"mode": "live"})}


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """`kind` is that of its batch; `writes` is the function that writes pending objects, if it is not the engine."""

    kind: str
    run: Callable[[Lake], object]
    writes: tuple[ModuleType, str] | None = None


USE_CASES = {
    "ingest": UseCase(kind="INGEST", run=ingest_batch),
    "rebuild": UseCase(kind="REBUILD", run=lambda lake: rebuild(lake, [PartitionKey.parse("2026-02-03|live")])),
    "forget": UseCase(kind="FORGET", run=lambda lake: forget(lake, KEY), writes=(remove_rows, "remove_rows")),
    "widen": UseCase(
        kind="WIDEN",
        run=lambda lake: widen_column(lake, "n"),
        writes=(widen_columns, "rewrite"),
    ),
}

ERRORS = {
    "an unforeseen error": RuntimeError("a bug"),
    "Ctrl-C": KeyboardInterrupt(),
    "an outage": StorageUnavailable("the store does not answer"),
    "a lost lease": LeaseLost("00000000-0000-0000-0000-000000000000"),
    "an unknown outcome": OutcomeUnknown("the connection broke"),
}

BATCH_STATES = {
    "an unforeseen error": "FAILED",
    "Ctrl-C": "ABANDONED",
    "an outage": "FAILED",  # of an ingest, which has raw files: ABANDONED
    "a lost lease": "CLAIMED",
    "an unknown outcome": "CLAIMED",
}


class Raising:
    """An engine that converts, and raises `error` instead of returning the report."""

    name = "in_process"

    def __init__(self, inner: Engine, error: BaseException) -> None:
        self._inner = inner
        self._error = error

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        self._inner.convert(request, on_progress=on_progress)
        raise self._error


@pytest.fixture
def lake(ingested: Lake, root: Path) -> Lake:
    """Two files are published, another one is discovered."""
    land(root, WAITING)
    discover(ingested)
    return ingested


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("use_case", USE_CASES.values(), ids=USE_CASES.keys())
def test_an_error_while_parts_are_written_ends_the_claim_in_the_right_way(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, use_case: UseCase, name: str
) -> None:
    before = published(root)
    error = ERRORS[name]
    stopped = lake
    if use_case.writes:
        raise_after(monkeypatch, *use_case.writes, error)
    else:
        stopped = replace(lake, engine=Raising(lake.engine, error))
    run_until(error, use_case, stopped)
    assert published(root) == before
    check_claim(lake, ledger_url, use_case, name)
    monkeypatch.undo()
    check_next_run(lake, ledger_url, use_case)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("use_case", USE_CASES.values(), ids=USE_CASES.keys())
def test_an_error_while_the_manifest_is_recorded_ends_the_claim_in_the_right_way(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, use_case: UseCase, name: str
) -> None:
    before = published(root)
    error = ERRORS[name]
    # An unknown outcome is looked up again until the lease is over.
    lake = replace(lake, lease_seconds=1)

    def fails(*_: Any, **__: Any) -> int:
        assert list(lake.store.pending())
        raise error

    monkeypatch.setattr(Publication, "record_manifest", fails)
    run_until(error, use_case, lake)
    assert published(root) == before
    check_claim(lake, ledger_url, use_case, name)
    monkeypatch.undo()
    check_next_run(lake, ledger_url, use_case)


@pytest.mark.parametrize("name", ["an unforeseen error", "Ctrl-C"])
@pytest.mark.parametrize("use_case", USE_CASES.values(), ids=USE_CASES.keys())
def test_parts_of_a_recorded_manifest_are_kept_if_an_error_follows_at_once(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, use_case: UseCase, name: str
) -> None:
    """The next worker publishes them: Ctrl-C arrives after the server has committed and before the client knows."""
    raise_after(monkeypatch, Publication, "record_manifest", ERRORS[name])
    with pytest.raises((KeyboardInterrupt, RuntimeError, LeaseLost)):
        use_case.run(lake)
    monkeypatch.undo()
    assert states(ledger_url, use_case) == ["PUBLISHING"]
    assert list(lake.store.pending())

    check_next_run(lake, ledger_url, None)
    assert states(ledger_url, use_case)[0] == "PUBLISHED"


def raise_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: BaseException) -> None:
    """Let the function `name` of a module or class do its work, then raise `error`."""
    real = getattr(owner, name)

    def works_and_raises(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        raise error

    monkeypatch.setattr(owner, name, works_and_raises)


def run_until(error: BaseException, use_case: UseCase, lake: Lake) -> None:
    """Run the use case, which ends with `error`; an ingest reports an outage as the result of its batch."""
    if use_case.kind == "INGEST" and isinstance(error, StorageUnavailable):
        result = ingest_batch(lake)
        assert result is not None
        assert result.error == str(error)
        return
    with pytest.raises(type(error)):
        use_case.run(lake)


def check_claim(lake: Lake, ledger_url: str, use_case: UseCase, name: str) -> None:
    """Whether the claim was released, failed or left as this error requires, and its pending objects with it."""
    expected_state = "ABANDONED" if (use_case.kind, name) == ("INGEST", "an outage") else BATCH_STATES[name]
    assert states(ledger_url, use_case) == [expected_state]
    given_back = expected_state != "CLAIMED"
    assert bool(list(lake.store.pending())) is not given_back
    status, attempts = run_sql(
        ledger_url,
        "SELECT processing_status, attempts FROM file_processing_status WHERE s3_key = :key",
        key=next(iter(WAITING)),
    )[0]
    expected = ("PENDING", 0)
    if use_case.kind == "INGEST":
        expected = {"FAILED": ("FAILED", 1), "ABANDONED": ("PENDING", 0), "CLAIMED": ("PROCESSING", 1)}[expected_state]
    assert (status, attempts) == expected


def check_next_run(lake: Lake, ledger_url: str, use_case: UseCase | None) -> None:
    """The same again, once leases and pauses are over, and everything that waits: then nothing is left over."""
    expire_leases(ledger_url)
    end_backoffs(ledger_url)
    if use_case:
        use_case.run(lake)
    list(ingest_all(lake))
    assert list(lake.store.pending()) == []
    assert is_sound(lake)


def states(ledger_url: str, use_case: UseCase) -> list[str]:
    """The states of its batches but those that published the lake's first files, the oldest first."""
    rows = run_sql(
        ledger_url,
        "SELECT CAST(state AS text) FROM batch WHERE kind = :kind ORDER BY created_at",
        kind=use_case.kind,
    )
    first = 1 if use_case.kind == "INGEST" else 0
    return [state for (state,) in rows][first:]
