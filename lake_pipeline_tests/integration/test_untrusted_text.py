"""What commands print and log about a lake whose names, fields and values attack terminals and logs."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.composition import open_lake
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.support.hostile import FORGED, hostile_files
from lake_pipeline_tests.support.lakes import land
from lake_pipeline_tests.support.payloads import PAYLOADS, unsafe_characters

QUERIES = (
    "SELECT * FROM json_parsed_parquet",
    "SELECT * FROM quarantine",
    "SELECT mode, max(text) FROM json_parsed_parquet GROUP BY mode",
    "SELECT [text], {'a': text} FROM json_parsed_parquet",
    f'SELECT 1 AS "{PAYLOADS["osc52"]}{PAYLOADS["forged line"]}"',
    "SELECT CAST(text AS INTEGER) FROM json_parsed_parquet WHERE text IS NOT NULL",
)


@pytest.fixture
def _settings(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    paths = {"ROOT": tmp_path / "lake", "HOME": tmp_path / "home"}
    for name, value in {**paths, "LEDGER_URL": ledger_url, "MIN_AGE_SECONDS": 0}.items():
        monkeypatch.setenv(f"LAKE_{name}", str(value))
    logger = logging.getLogger("lake_pipeline")
    before = logger.handlers[:], logger.level, logger.propagate, logging.getLogRecordFactory()
    yield
    logger.handlers[:], logger.level, logger.propagate = before[:3]
    logging.setLogRecordFactory(before[3])


def _lake(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
    return result


def _commands(root: Path) -> Iterator[tuple[str, ...]]:
    """Every command that reports, and commands with names that do not exist."""
    with open_lake(load_settings()) as lake:
        partitions = {file.partition for file in lake.ledger.curated.files()}
        keys = [source.file.key for source in lake.ledger.lineage.sources(partitions)]
        modes = sorted({partition.mode for partition in partitions})
    assert len(modes) > len(PAYLOADS) / 2, "most payloads are a mode"
    yield from [("status",), ("retry", "--dry-run"), ("plan",), ("ledger", "migrate"), ("discover",), ("ingest",)]
    yield from [("contract", "show"), ("contract", "history"), ("contract", "diff"), ("fsck",)]
    yield ("inspect", str(root))
    yield from (("query", sql) for sql in QUERIES)
    modes_of_snapshot = [argument for mode in modes for argument in ("--mode", mode)]
    yield ("snapshot", "create", "all", *modes_of_snapshot)
    yield from [("snapshot", "list"), ("snapshot", "show", "all"), ("snapshot", "diff", "all", "all")]
    hostile = "".join(PAYLOADS.values())
    yield from (("forget", "--dry-run", key) for key in keys[:4])
    yield from [("forget", hostile), ("rebuild", hostile), ("release", hostile), ("contract", "widen", hostile)]
    yield from [("snapshot", "create", hostile), ("snapshot", "show", hostile), ("snapshot", "drop", hostile)]
    yield from [("retry", "--dry-run", "--pattern", "*"), ("retry", "--reason", hostile), (hostile,)]
    yield ("rebuild", *(str(PartitionKey.of_path(path.as_posix())) for path in _partitions(root)[:3]))


def _partitions(root: Path) -> list[Path]:
    return sorted((root / "json_parsed_parquet").glob("year=*/month=*/day=*/mode=*"))


def _check_text(arguments: tuple[str, ...], output: str) -> None:
    assert unsafe_characters(output) == set(), arguments
    forged = [line for line in output.split("\n") if line.startswith(FORGED)]
    assert forged == [], arguments


def _check_json(arguments: tuple[str, ...], result: Result) -> None:
    assert unsafe_characters(result.output) == set(), arguments
    for line in filter(None, result.stdout.split("\n")):
        json.loads(line)


@pytest.mark.usefixtures("_settings")
def test_no_text_from_data_controls_a_terminal_or_forges_a_line(tmp_path: Path) -> None:
    land(tmp_path / "lake", hostile_files())
    for command in ("discover", "ingest"):
        _check_text((command,), _lake("-v", command).output)
    batches = re.findall(r"^Batch (\S+):", _lake("-v", "ingest").output, re.MULTILINE)
    assert not batches, "nothing is left to ingest, so every line about a batch would be forged"
    for arguments in _commands(tmp_path / "lake"):
        _check_text(arguments, _lake(*arguments).output)
        if arguments[:2] != ("snapshot", "create") and arguments != ("".join(PAYLOADS.values()),):
            _check_json(arguments, _lake(*arguments, "--json"))
