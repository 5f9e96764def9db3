"""Restore drills: the ledger is lost or old, and the store is enough. With the commands that docs/ledger.md names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.zones import ARCHIVE
from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import Site
from lake_pipeline_tests.conftest import Ledgers
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import dying_half_published, ingest

FILES = {f"2026/week06/{name}.json": ndjson(*records(10 * number, 10)) for number, name in enumerate("abc")}

pytestmark = pytest.mark.attack


def url_of(ledger: Ledger) -> str:
    return ledger.database._url.render_as_string(hide_password=False)


def succeeds(site: Site, *arguments: str, ledger: str | None = None) -> str:
    environment = {} if ledger is None else {"LAKE_LEDGER_URL": ledger}
    result = site.run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return result.output


def used_after(site: Site) -> None:
    """What happens after a dump: a file is forgotten, one is replaced, one is new, and a batch is half published."""
    succeeds(site, "forget", "2026/week06/a.json")
    site.land({"2026/week06/b.json": ndjson(*records(100, 4)), "2026/week07/d.json": ndjson(*records(200, 5))})
    ingest(site.lake)
    site.land({"2026/week07/e.json": ndjson(*records(300, 2))})
    succeeds(site, "discover")
    with dying_half_published(site.lake):
        ingest(site.lake)


EXPECTED = [*range(20, 30), *range(100, 104), *range(200, 205), 300, 301]


def move_originals_back(site: Site) -> None:
    store = site.store()
    for info in list(store.objects(ARCHIVE)):
        key = info.key.removeprefix(ARCHIVE)
        if store.stat(key) is None:
            store.move(info.key, key, etag=info.etag)


@pytest.mark.parametrize("moved_back", [False, True], ids=["archived", "originals moved back"])
def test_a_lost_ledger_is_recovered_with_each_row_once(site: Site, ledgers: Ledgers, moved_back: bool) -> None:
    site.land(FILES)
    ingest(site.lake)
    used_after(site)
    if moved_back:
        move_originals_back(site)
    new = ledgers(None)
    url = url_of(new)
    refused = site.run("ingest", LAKE_LEDGER_URL=url)
    assert refused.exit_code == 1
    assert "lake recover" in refused.output
    planned = succeeds(site, "recover", ledger=url)
    assert "Nothing was changed" in planned
    assert new.commit_log.last_number() == 0
    succeeds(site, "recover", "--apply", ledger=url)
    succeeds(site, "ingest", ledger=url)
    succeeds(site, "fsck", ledger=url)
    assert_intact(replace(site.lake, ledger=new), EXPECTED)


def test_an_old_export_is_restored_and_brought_forward(site: Site, ledgers: Ledgers, tmp_path: Path) -> None:
    site.land(FILES)
    ingest(site.lake)
    file = tmp_path / "ledger.zip"
    succeeds(site, "ledger", "export", str(file))
    used_after(site)
    new = ledgers(None)
    url = url_of(new)
    succeeds(site, "ledger", "restore", str(file), ledger=url)
    assert site.run("ingest", LAKE_LEDGER_URL=url).exit_code == 1
    succeeds(site, "recover", "--apply", ledger=url)
    succeeds(site, "ingest", ledger=url)
    assert_intact(replace(site.lake, ledger=new), EXPECTED)
