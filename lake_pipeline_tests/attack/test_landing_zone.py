"""Attacks on the landing zone: odd keys and entries next to good files, and files that grow while they are taken."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import DirectorySite, Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest

ZONE = "2026/week06"
GOOD = {f"{ZONE}/good-{number}.json": ndjson(*records(10 * number, 10)) for number in range(3)}
ESCAPES = ("\x1b]52;c;cm0=\x07.json", "a\rBatch 1: 9 files, published.json", "tab\t.json")


@pytest.mark.attack
def test_keys_with_control_characters_cost_only_themselves_on_every_store(site: Site) -> None:
    site.land({**GOOD, **dict.fromkeys([f"{ZONE}/{name}" for name in ESCAPES], ndjson(*records(900, 1)))})

    discovered, ingested, status = site.run("discover"), site.run("ingest"), site.run("status")

    assert (discovered.exit_code, ingested.exit_code, status.exit_code) == (1, 0, 0)
    assert "3 entries of the landing zones can't be read" in discovered.output
    assert not {"\x1b", "\x07", "\r", "\t"} & set(discovered.output + ingested.output + status.output)
    assert_intact(site.lake, range(30))


@pytest.mark.attack
def test_long_keys_are_archived_twice_on_every_store(site: Site) -> None:
    key = f"{ZONE}/{'x' * 240}.json"
    site.land({key: ndjson(*records(0, 1))})
    ingest(site.lake)
    site.land({**GOOD, key: ndjson(*records(100, 1))})
    ingest(site.lake)
    assert_intact(site.lake, [*range(30), 100])


@pytest.mark.attack
@pytest.mark.parametrize("first", ["same", "same/b.json"])
def test_a_key_and_a_folder_of_the_same_name_are_both_converted_on_every_store(site: Site, first: str) -> None:
    second = "same/b.json" if first == "same" else "same"
    site.land({f"{ZONE}/{first}": ndjson(*records(0, 1))})
    ingest(site.lake)
    if isinstance(site, DirectorySite) and first != "same":
        (site.folder / ZONE / "same").rmdir()
    site.land({f"{ZONE}/{second}": ndjson(*records(1, 1))})
    ingest(site.lake)
    assert_intact(site.lake, range(2))


@pytest.mark.attack
def test_a_directory_full_of_odd_entries_is_ingested(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(site, DirectorySite):
        pytest.skip("a bucket has only objects")
    site.land(GOOD)
    zone = site.folder / ZONE
    (tmp_path / "secret.json").write_bytes(ndjson(*records(900, 1)))
    for name, target in (
        ("loop", zone),
        ("up", site.folder),
        ("secret", tmp_path / "secret.json"),
        ("gone", "nowhere"),
    ):
        (zone / name).symlink_to(target)
    os.mkfifo(zone / "pipe.json")
    monkeypatch.chdir(zone)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.json")
    os.mkdir(os.fsencode(zone) + b"/caf\xe9")
    Path(os.fsdecode(os.fsencode(zone) + b"/caf\xe9/x.json")).write_bytes(ndjson(*records(901, 1)))
    deep = zone
    for _ in range(6):
        deep /= "d" * 200
        deep.mkdir()

    discovered, ingested = site.run("discover"), site.run("ingest")

    assert (discovered.exit_code, ingested.exit_code) == (1, 0), discovered.output + ingested.output
    assert "8 entries of the landing zones can't be read" in discovered.output
    assert_intact(site.lake, range(30))
    assert site.run("fsck").exit_code == 0


@pytest.mark.attack
def test_a_file_that_is_written_to_for_ever_gains_each_row_once(site: Site) -> None:
    content = b""
    for number in range(5):
        content += ndjson(*records(number, 1))
        site.land({f"{ZONE}/slow.json": content})
        discover(site.lake)
        content += ndjson(*records(100 + number, 1))
        # Grows between the listing and the conversion, and again before it is archived or not at all.
        site.land({f"{ZONE}/slow.json": content})
        ingest(site.lake)
    ingest(site.lake)
    assert_intact(site.lake, [*range(5), *range(100, 105)])
