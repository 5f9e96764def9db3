"""The commands on a real lake with the embedded ledger: output and exit codes."""

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
from lake_pipeline.ledger.embedded import client as embedded
from lake_pipeline.settings import load_settings

RECORDS = [
    {"event_time": "2026-02-03T10:00:00Z", "mode": "live", "amount": 1},
    {"event_time": "2026-02-03T11:00:00Z", "mode": "test", "amount": 2},
    {"event_time": "2026-02-04T10:00:00Z", "mode": "live", "amount": 3},
    {"mode": "live", "amount": 4},
]


@pytest.fixture(autouse=True)
def isolated_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_MIN_AGE_SECONDS", "0")
    logger = logging.getLogger("lake_pipeline")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    embedded.release(tmp_path / "home")


@pytest.fixture
def landing_zone(tmp_path: Path) -> Path:
    folder = tmp_path / "lake" / "2026" / "week06"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("".join(json.dumps(record) + "\n" for record in RECORDS[:2]))
    (folder / "b.json").write_text("".join(json.dumps(record) + "\n" for record in RECORDS[2:]))
    return folder


def lake(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("landing_zone")
def test_discover_ingest_status_and_query_print_json(tmp_path: Path) -> None:
    (discovery,) = lines(lake("discover", "--json"))
    assert (discovery["seen"], discovery["new"]) == (2, 2)

    (batch,) = lines(lake("ingest", "--json"))
    assert batch["files"] == 2
    assert batch["rows"] == 3
    assert batch["partitions"] == 3
    assert batch["bytes"] > 0
    assert batch["seconds"] > 0
    assert len(batch["id"]) == 36

    (status,) = lines(lake("status", "--json"))
    facts = ["files", "bytes", "rows", "partitions", "curated_files", "contract_version", "archived"]
    facts += ["wanted_widenings", "lossy_widenings", "unreadable", "unreadable_entries", "outages"]
    assert list(status) == [*facts, "root", "home", "ledger", "ledger_data"]
    assert (status["root"], status["home"]) == (str(tmp_path / "lake"), str(tmp_path / "home"))
    assert Path(status["ledger_data"], "PG_VERSION").is_file()
    assert status["files"]["SUCCEEDED"] == 2
    assert status["files"]["PENDING"] == 0
    assert status["bytes"]["SUCCEEDED"] == batch["bytes"]
    assert status["rows"] == {"read": 4, "published": 3, "quarantined": 1, "rescued": 0}
    assert (status["partitions"], status["curated_files"], status["archived"]) == (3, 3, 2)

    sql = "SELECT mode, sum(amount) AS amount FROM json_parsed_parquet GROUP BY mode ORDER BY mode"
    assert lines(lake("query", sql, "--json")) == [{"mode": "live", "amount": 4}, {"mode": "test", "amount": 2}]
    assert lines(lake("query", "SELECT reason FROM quarantine", "--json")) == [{"reason": "no_date"}]
    assert not list((tmp_path / "lake" / "2026").rglob("*.json"))


@pytest.mark.usefixtures("landing_zone")
def test_a_second_ingest_reports_that_there_is_nothing_to_do() -> None:
    lake("discover")
    lake("ingest")

    again = lake("ingest")
    assert again.exit_code == 0
    assert again.stdout.startswith("Nothing to do")

    as_json = lake("ingest", "--json")
    assert as_json.exit_code == 0
    assert as_json.stdout == ""
    assert as_json.stderr.startswith("Nothing to do")


@pytest.mark.usefixtures("landing_zone")
def test_the_text_output_has_the_same_numbers() -> None:
    assert "2 files seen, 2 of them new" in lake("discover").stdout
    assert "4 records read = 3 published + 1 quarantined" in lake("ingest").stdout
    assert "4 records read = 3 published + 1 quarantined" in lake("status").stdout
    assert "test" in lake("query", "SELECT DISTINCT mode FROM json_parsed_parquet").stdout


@pytest.mark.usefixtures("landing_zone")
def test_ingest_exits_with_1_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    from lake_pipeline.engines.in_process import InProcessEngine
    from lake_pipeline.errors import StorageUnavailable

    def unavailable(*_: object, **__: object) -> None:
        raise StorageUnavailable("the disk is gone")

    lake("discover")
    monkeypatch.setattr(InProcessEngine, "convert", unavailable)

    result = lake("ingest", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[0])["error"] == "the disk is gone"
    assert "the disk is gone" in result.stderr
    assert "`lake ingest --now`" in result.stderr


def test_commands_on_an_empty_lake_print_the_next_step() -> None:
    assert "lake discover" in lake("status").stdout
    refused = lake("query", "SELECT 1")
    assert refused.exit_code == 1
    assert refused.stderr == "Error: Nothing is published yet: run `lake discover`, then `lake ingest`.\n"


def test_a_ledger_of_the_user_is_migrated_only_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", embedded.embedded_url(load_settings().storage.home, "user", durable=False))

    refused = lake("status")
    assert refused.exit_code == 1
    assert "lake ledger migrate" in refused.stderr

    (migrated,) = lines(lake("ledger", "migrate", "--json"))
    assert migrated["before"] is None
    assert lake("status").exit_code == 0
    assert "up to date" in lake("ledger", "migrate").stdout


@pytest.mark.usefixtures("landing_zone")
def test_fsck_exits_with_0_only_if_store_and_ledger_agree(tmp_path: Path) -> None:
    lake("discover")
    lake("ingest")
    assert lake("fsck").stdout == "The store and the ledger agree.\n"
    archived = tmp_path / "lake" / "raw-json-data-processed" / "2026" / "week06" / "a.json"
    (tmp_path / "lake" / "2026" / "week06").mkdir(parents=True, exist_ok=True)
    archived.rename(tmp_path / "lake" / "2026" / "week06" / "a.json")

    inconsistent = lake("fsck", "--shallow", "--json")
    assert inconsistent.exit_code == 1
    finding, summary = map(json.loads, inconsistent.stdout.splitlines())
    assert (finding["problem"], finding["mendable"], finding["mended"]) == ("HALF_MOVED", True, False)
    assert summary == {"clean": False, "found": {"HALF_MOVED": 1}, "mended": 0, "expired": 0}

    repaired = lake("fsck", "--repair")
    assert repaired.exit_code == 0
    assert repaired.stdout.startswith("HALF_MOVED (repaired): 2026/week06/a.json is archived")
    assert lines(lake("fsck", "--json")) == [{"clean": True, "found": {}, "mended": 0, "expired": 0}]


@pytest.mark.usefixtures("landing_zone")
def test_inspect_prints_the_settings_to_use_without_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DATE_FIELD", "evnt_time")
    result = lake("inspect", "2026")
    assert result.exit_code == 0, result.output
    assert "export LAKE_DATE_FIELD=event_time" in result.stdout
    assert "4 records read = 0 published + 4 quarantined" in result.stdout
    assert lake("inspect", str(tmp_path / "lake" / "2026" / "week06" / "a.json"), "--json").exit_code == 0
    missing = lake("inspect", "2027")
    assert (missing.exit_code, "there is no file with this name" in missing.output) == (1, True)
    assert not (tmp_path / "home").exists()
