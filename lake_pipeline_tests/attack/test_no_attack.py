"""Without an attack every site is intact: what the other scenarios rely on."""

from __future__ import annotations

import pytest

from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest


@pytest.mark.attack
def test_a_lake_that_is_not_attacked_is_intact_on_every_store(site: Site) -> None:
    site.land({"2026/week06/a.json": ndjson(*records(0, 3)), "2026/week06/b.json": ndjson(*records(3, 2))})

    ingest(site.lake)

    assert_intact(site.lake, range(5))


@pytest.mark.attack
def test_a_corrupt_file_costs_only_itself_on_every_store(site: Site) -> None:
    site.land({"2026/week06/a.json": ndjson(*records(0, 3)), "2026/week06/b.json": b"\x00\x01 no JSON"})

    discovered, ingested = site.run("discover"), site.run("ingest")

    assert (discovered.exit_code, ingested.exit_code) == (0, 0), discovered.output + ingested.output
    assert_intact(site.lake, range(3), quarantined=["2026/week06/b.json"])
