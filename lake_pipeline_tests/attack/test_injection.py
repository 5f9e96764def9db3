"""Injection: data in the UI of a running Dagster, as a browser shows it and GraphQL returns it.

`lake_pipeline_tests/dagster/test_untrusted_text.py` and `lake_pipeline_tests/integration/test_untrusted_text.py` send
the same payloads to everything that runs in the process of a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from lake_pipeline_tests.dagster.servers import Served, dagster_dev, wait_for
from lake_pipeline_tests.support.browsers import FLAGS, browser_path
from lake_pipeline_tests.support.hostile import DAY, hostile_files
from lake_pipeline_tests.support.lakes import land
from lake_pipeline_tests.support.markdown_reader import active
from lake_pipeline_tests.support.payloads import unsafe_characters

pytestmark = pytest.mark.attack

ENTRIES = """metadataEntries { label ... on MarkdownMetadataEntry { mdStr } ... on TextMetadataEntry { text }
    ... on TableSchemaMetadataEntry { schema { columns { name description } } } }"""

MATERIALIZATIONS = f"""{{ assetNodeOrError(assetKey: {{path: ["json_parsed_parquet"]}}) {{ ... on AssetNode {{
    assetMaterializations(limit: 100) {{ partition runId {ENTRIES} }} }} }} }}"""

CHECKS = f"""query($name: String!) {{ assetCheckExecutions(assetKey: {{path: ["json_parsed_parquet"]}},
    checkName: $name, limit: 100) {{ evaluation {{ description {ENTRIES} }} }} }}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Dagster whose sensors have ingested the hostile files."""
    folder = tmp_path_factory.mktemp("injection")
    land(folder / "lake", hostile_files())
    with dagster_dev(folder, {"LAKE_SENSOR_SECONDS": "5"}) as running:
        running.list_landing_zones()
        assert wait_for(lambda: _has_live(running), 240), "the hostile files are not published"
        yield running


def _materializations(served: Served) -> list[dict[str, Any]]:
    return list(served.query(MATERIALIZATIONS)["assetNodeOrError"]["assetMaterializations"])


def _has_live(served: Served) -> bool:
    return any(event["partition"] == f"{DAY}|live" for event in _materializations(served))


def _markdown_of(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        if "mdStr" in entry:
            yield entry["mdStr"]
        yield from (column["description"] or "" for column in entry.get("schema", {}).get("columns", ()))


def test_graphql_returns_no_markup_from_data(served: Served) -> None:
    sources = [source for event in _materializations(served) for source in _markdown_of(event["metadataEntries"])]
    for check in ("row_count", "schema", "completeness", "quarantine_share"):
        for execution in served.query(CHECKS, name=check)["assetCheckExecutions"]:
            if evaluation := execution["evaluation"]:
                sources += [evaluation["description"], *_markdown_of(evaluation["metadataEntries"])]
    assert any("quarantined" in source for source in sources)
    assert [(source, active(source)) for source in sources if active(source)] == []
    assert [source for source in sources if unsafe_characters(source)] == []


def test_a_browser_requests_and_runs_nothing_from_data(served: Served) -> None:
    if browser_path() is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    run = _materializations(served)[0]["runId"]
    asset, partition = f"{served.url}/assets/json_parsed_parquet", quote(f"{DAY}|live")
    pages = [
        f"{asset}?view=partitions&partition={partition}",
        f"{asset}?view=overview",
        f"{asset}?view=events",
        *(f"{asset}?view=checks&checkDetail={check}" for check in ("schema", "quarantine_share", "completeness")),
        f"{served.url}/runs/{run}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 1200})
        hosts = set[str]()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        links = [link for address in pages for link in _links_of(page, address)]
        browser.close()
    assert {host for host in hosts if host} == {urlsplit(served.url).netloc}
    assert links == []


def _links_of(page: Page, address: str) -> list[str]:
    """Where the Markdown of a page leads, after each of it was opened."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2000)
    links = list[str]()
    for button in page.get_by_text("Show Markdown").all()[:3]:
        button.click()
        page.wait_for_timeout(500)
        links += _active_parts(page)
        page.keyboard.press("Escape")
    return links + _active_parts(page)


def _active_parts(page: Page) -> list[str]:
    script = "parts => parts.map(part => part.outerHTML)"
    return list(page.eval_on_selector_all(".dagster-markdown a, .dagster-markdown img", script))
