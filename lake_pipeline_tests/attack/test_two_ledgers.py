"""Two ledgers for one root, two roots for one ledger, and a root that is not there: nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lake_pipeline.errors import LakeError, LakeMismatch
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.zones import IDENTITY
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest

FILE = "2026/week06/a.json"
LATER = "2026/week07/b.json"

WRITERS = (
    ("discover",),
    ("ingest",),
    ("rebuild", "2026-02-03"),
    ("forget", FILE),
    ("retry",),
    ("release", "nobody"),
    ("fsck", "--repair"),
    ("snapshot", "create", "s"),
    ("contract", "widen", "id"),
)


@pytest.mark.attack
def test_a_second_ledger_changes_nothing_by_any_command(site: Site, other_ledger_url: str) -> None:
    site.land({FILE: ndjson(*records(0, 3))})
    assert site.run("discover").exit_code == 0
    assert site.run("ingest").exit_code == 0
    site.land({LATER: ndjson(*records(3, 2))})
    before = versions(site)
    for command in WRITERS:
        refused = site.run(*command, LAKE_LEDGER_URL=other_ledger_url)
        assert refused.exit_code == 1, command
        assert "belongs to another ledger" in refused.stderr, (command, refused.stderr)
    assert versions(site) == before
    ingest(site.lake)
    assert_intact(site.lake, range(5))


@pytest.mark.attack
def test_a_root_without_its_identity_is_not_touched_until_it_is_adopted(site: Site) -> None:
    site.land({FILE: ndjson(*records(0, 3))})
    ingest(site.lake)
    site.land({LATER: ndjson(*records(3, 2))})
    site.remove(IDENTITY)
    before = versions(site)
    for command in WRITERS:
        refused = site.run(*command)
        assert refused.exit_code == 1, command
        assert f"has no {IDENTITY}" in refused.stderr, (command, refused.stderr)
    assert versions(site) == before
    adopted = site.run("ledger", "adopt-root")
    assert adopted.exit_code == 0, adopted.stderr
    ingest(site.lake)
    assert_intact(site.lake, range(5))


@pytest.mark.attack
@pytest.mark.parametrize("attempt", range(3))
def test_of_many_first_commands_with_two_ledgers_one_ledger_gets_the_root(
    site: Site, other_ledger: Ledger, attempt: int
) -> None:
    lakes = [replace(site.lake, store=site.store(), ledger=ledger) for ledger in (site.lake.ledger, other_ledger) * 4]
    start = threading.Barrier(len(lakes))

    def use(lake: Lake) -> str | LakeError:
        start.wait()
        try:
            return check_identity(lake)
        except LakeError as error:
            return error

    with ThreadPoolExecutor(len(lakes)) as pool:
        results = list(pool.map(use, lakes))
    assert len({result for result in results if isinstance(result, str)}) == 1
    assert {type(result) for result in results} == {str, LakeMismatch}
    assert {type(result) for result in results[::2]} != {type(result) for result in results[1::2]}


def versions(site: Site) -> dict[str, str]:
    """Every object with its ETag."""
    return {info.key: info.etag for info in site.store().objects("")}


@pytest.mark.attack
def test_two_shells_in_two_directories_use_one_embedded_ledger(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    (root / FILE).parent.mkdir(parents=True)
    (root / FILE).write_bytes(ndjson(*records(0, 3)))
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        for command in ("discover", "ingest"):
            shell(folder, root, command)
    assert '"published": 3' in shell(tmp_path, root, "status", "--json")
    assert [path.name for path in tmp_path.glob("*/.lake*")] == []
    assert (tmp_path / ".lake/root.json").exists()


def shell(folder: Path, root: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKE_")}
    result = subprocess.run(
        [sys.executable, "-c", "from lake_pipeline.cli import main; main()", *arguments],
        cwd=folder,
        env=environment | {"LAKE_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, (folder.name, arguments, result.stdout, result.stderr)
    return result.stdout
