"""Exit codes of commands, errors of one line, and a fast start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import COMMANDS, main
from lake_pipeline.errors import LakeError

SLOW = ("dagster", "duckdb", "sqlalchemy", "pyarrow", "pydantic")


def leaves(commands: Iterable[click.Command], *prefix: str) -> Iterator[tuple[str, ...]]:
    """The commands and subcommands that do something, each with a value for every required argument."""
    for command in commands:
        path = (*prefix, str(command.name))
        if isinstance(command, click.Group):
            yield from leaves(command.commands.values(), *path)
        else:
            yield (*path, *("x" for item in command.params if isinstance(item, click.Argument) and item.required))


EVERY_COMMAND = [pytest.param(command, id=" ".join(command)) for command in leaves(COMMANDS)]


@pytest.fixture(autouse=True)
def isolated_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("lake_pipeline")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def lake(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_lists_the_commands_in_the_order_of_use() -> None:
    text = lake("--help").output
    positions = [text.index(f"\n  {command.name} ") for command in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_command_takes_json(command: tuple[str, ...]) -> None:
    result = lake(*command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


@pytest.mark.parametrize("arguments", ["nonsense", "query", "ingest --max-batches 0", "status --jsn", "dev --port x"])
def test_wrong_usage_exits_with_2(arguments: str) -> None:
    assert lake(*arguments.split()).exit_code == 2


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_a_wrong_setting_ends_every_command_in_one_line(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_BATCH_FILES", "many")

    result = lake(*command)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: LAKE_BATCH_FILES: ")


def test_an_unusable_root_is_reported_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "file"))

    result = lake("status")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: LAKE_ROOT: ")
    assert not (tmp_path / ".lake").exists()


def test_the_error_for_an_unreachable_ledger_does_not_contain_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", "postgresql://lake:hunter2@127.0.0.1:1/lake")

    result = lake("status")

    assert result.exit_code == 1
    assert "LAKE_LEDGER_URL" in result.stderr
    assert "hunter2" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_expected_error_is_printed_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise LakeError("first line\nsecond line")

    monkeypatch.setattr("lake_pipeline.settings.load_settings", failing)

    result = lake("status")

    assert (result.exit_code, result.stderr) == (1, "Error: first line\\nsecond line\n")


def test_the_command_line_imports_no_slow_module() -> None:
    script = f"import sys, lake_pipeline.cli; print([name for name in {SLOW} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_ingestion_imports_neither_dagster_nor_duckdb() -> None:
    script = (
        "import sys, lake_pipeline.cli.ingest, lake_pipeline.composition, lake_pipeline.usecases.batches.ingest; "
        "print([name for name in ('dagster', 'duckdb', 'click.testing') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
