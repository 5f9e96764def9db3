"""`lake contract`: evidence, counted exactly once, and the history of the contract."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.contract.evidence import ALL
from lake_pipeline.ledger.embedded import client as embedded
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline.usecases.reports.contract import PathFacts, describe
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, land


def record(**fields: Any) -> dict[str, Any]:
    return {"event_time": "2026-02-03", "mode": "live", **fields}


FIRST = "2026/week06/a.json"
SECOND = "2026/week06/b.json"
THIRD = "2026/week07/c.json"


@pytest.fixture
def lake(empty_lake: Lake) -> Lake:
    return empty_lake


def column(lake: Lake, path: str) -> PathFacts:
    facts = describe(lake)
    return next(facts_of for facts_of in (*facts.columns, *facts.without_column) if facts_of.path == path)


def test_each_path_shows_how_often_and_in_which_files_it_was_seen(lake: Lake, root: Path) -> None:
    land(root, {FIRST: ndjson(record(n=1), record(n=2, late=[])), SECOND: ndjson(record(x=1), {"n": 5})})
    ingest(lake)
    land(root, {THIRD: ndjson(record(n=3, o={"a": "t"}, late=[1]), record(n="text"))})
    ingest(lake)

    facts = describe(lake)
    assert (facts.version, facts.rows) == (2, 5)
    n = column(lake, "n")
    assert (n.column, n.type, n.since, dict(n.kinds)) == ("n", "int64", 1, {"int": 3, "string": 1})
    assert (n.share, n.first_key, n.last_key, n.conflicts) == (0.8, FIRST, THIRD, ("string",))
    x = column(lake, "x")
    assert (dict(x.kinds), x.share, x.first_key, x.last_key) == ({"int": 1}, 0.2, SECOND, SECOND)
    assert column(lake, "o.a").since == 2
    assert dict(column(lake, "late").kinds) == {"list": 2}
    assert column(lake, "event_time").share == 1


def test_only_published_rows_are_evidence(lake: Lake, root: Path) -> None:
    refused = b"{\n" * 3 + ndjson(record(never=1))
    land(root, {FIRST: ndjson(record(n=1), {"n": 2, "nor": 1}), SECOND: refused})
    ingest(lake)
    facts = describe(lake)
    assert facts.rows == 1
    assert {column.path: dict(column.kinds) for column in facts.columns if column.path in ("n", "nor", "never")} == {
        "n": {"int": 1},
        "never": {},
    }


def test_evidence_is_counted_once_even_if_the_worker_dies(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise SystemExit

    land(root, {FIRST: ndjson(record(n=1), record(n=2))})
    discover(lake)
    with monkeypatch.context() as patch:
        patch.setattr(Publication, "record_manifest", dies)
        with pytest.raises(SystemExit):
            ingest_batch(lake)
    assert lake.ledger.contracts.evidence() == []
    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", dies)
        with pytest.raises(SystemExit):
            ingest_batch(lake)
    monkeypatch.setattr("lake_pipeline.usecases.recovery.reconcile.owner_is_dead", bool)
    recover(lake)
    assert {row.path: row.rows for row in lake.ledger.contracts.evidence()} == {
        ALL: 2,
        "event_time": 2,
        "mode": 2,
        "n": 2,
    }


def test_evidence_accepts_unusual_paths_and_skips_very_long_ones(lake: Lake, root: Path) -> None:
    unusual = {"a b": 1, "nul\u0000": 1, "ü": 1, "k" * 501: 1, 'q"': 1, "\ud800": 1}
    land(root, {FIRST: ndjson(record(**unusual), record(**unusual))})
    ingest(lake)
    seen = {column.path: dict(column.kinds) for column in describe(lake).columns}
    assert seen['"a b"'] == seen["ü"] == seen[r'"q\""'] == seen[r'"nul\u0000"'] == {"int": 2}
    assert seen["k" * 501] == {}
    assert len(seen) == 7
    (lone,) = [path for path in describe(lake).without_column if path.kinds]
    assert (lone.path, lone.share) == (r'"\ud800"', 1)


# The commands, with the embedded ledger.


@pytest.fixture
def command_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_MIN_AGE_SECONDS", "0")
    logger = logging.getLogger("lake_pipeline")
    before = logger.handlers[:], logger.level, logger.propagate
    yield tmp_path / "lake"
    logger.handlers[:], logger.level, logger.propagate = before
    embedded.release(tmp_path / "home")


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_contract_is_shown_compared_and_widened_by_commands(
    command_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("contract", "show")
    assert refused.exit_code == 1
    assert "There is no contract yet" in refused.stderr
    assert "There is no contract yet" in run("contract", "history").stdout

    land(command_lake, {FIRST: ndjson(record(n=1))})
    run("discover")
    assert "+ n int64 (from n)" in run("ingest").stdout
    monkeypatch.setenv("LAKE_REWRITE_BYTES", "0")
    land(command_lake, {SECOND: ndjson(record(n=0.5, o={"new": True}))})
    run("discover")
    (batch,) = lines(run("ingest", "--json"))
    assert batch["contract_changes"] == ["+ o_new bool (from o.new)"]

    (status,) = lines(run("status", "--json"))
    assert status["wanted_widenings"] == ["n"]
    assert "To widen it, run `lake contract widen n`" in run("status").stdout

    (facts,) = lines(run("contract", "show", "--json"))
    assert (facts["version"], facts["rows"]) == (2, 2)
    n = next(column for column in facts["columns"] if column["path"] == "n")
    assert (n["kinds"], n["conflicts"], n["wants_to_widen"]) == ({"int": 1, "double": 1}, ["double"], True)
    text = run("contract", "show").stdout
    assert "n is int64, but 1 × double arrived" in text
    assert "lake contract widen n" in text

    (widened,) = lines(run("contract", "widen", "n", "--json"))
    assert (widened["before"], widened["after"], widened["rows"]) == ("int64", "double", 2)
    again = run("contract", "widen", "n")
    assert again.exit_code == 1
    assert "nothing to widen" in again.stderr
    assert "widen" not in run("status").stdout

    assert run("contract", "diff").stdout == ("Contract version 2 → 3\n  ~ n widened: int64 → double (from n)\n")
    (change,) = lines(run("contract", "diff", "1", "2", "--json"))
    assert change["changes"] == [
        {"change": "added", "column": "o_new", "path": "o.new", "before": None, "after": "bool"}
    ]
    assert "There is no contract version 9" in run("contract", "diff", "1", "9").stderr
    steps = lines(run("contract", "history", "--json"))
    assert [(step["version"], step["batch_kind"], len(step["changes"])) for step in steps] == [
        (1, "INGEST", 3),
        (2, "INGEST", 1),
        (3, "WIDEN", 1),
    ]
    assert "~ n widened: int64 → double" in run("contract", "history").stdout
