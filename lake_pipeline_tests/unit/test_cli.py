"""How commands end: exit codes, one line for what is wrong, and a quick start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.errors import LakeError

COMMANDS = ("demo", "dev", "discover", "ingest", "status", "query", "ledger")

SLOW = ("dagster", "duckdb", "sqlalchemy", "pyarrow", "pydantic")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("lake_pipeline")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def lake(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_names_every_command_in_the_order_people_need_them() -> None:
    shown = lake("--help").output
    positions = [shown.index(f"\n  {command} ") for command in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("command", [*COMMANDS[:-1], "ledger migrate"])
def test_every_command_takes_json(command: str) -> None:
    result = lake(*command.split(), "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


@pytest.mark.parametrize("arguments", ["nonsense", "query", "ingest --max-batches 0", "status --jsn", "dev --port x"])
def test_wrong_usage_exits_with_2(arguments: str) -> None:
    assert lake(*arguments.split()).exit_code == 2


@pytest.mark.parametrize("command", ["discover", "ingest", "status", "query x", "ledger migrate", "demo", "dev"])
def test_a_wrong_setting_ends_every_command_in_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_BATCH_FILES", "many")

    result = lake(*command.split())

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: LAKE_BATCH_FILES: ")


def test_an_unusable_root_is_told_before_anything_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "file"))

    result = lake("status")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: LAKE_ROOT: ")
    assert not (tmp_path / ".lake").exists()


def test_a_given_ledger_that_is_not_there_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", "postgresql://lake:hunter2@127.0.0.1:1/lake")

    result = lake("status")

    assert result.exit_code == 1
    assert "LAKE_LEDGER_URL" in result.stderr
    assert "hunter2" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_raised_on_purpose_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise LakeError("first line\nsecond line")

    monkeypatch.setattr("lake_pipeline.settings.load_settings", broken)

    result = lake("status")

    assert (result.exit_code, result.stderr) == (1, "Error: first line second line\n")


def test_the_command_line_loads_nothing_slow() -> None:
    script = f"import sys, lake_pipeline.cli; print([name for name in {SLOW} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_status_needs_neither_dagster_nor_duckdb() -> None:
    script = (
        "import sys, lake_pipeline.cli.files, lake_pipeline.opening, lake_pipeline.ingest.batch; "
        "print([name for name in ('dagster', 'duckdb', 'click.testing') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
