"""Takes the pictures of docs/images from the running product: `make screenshots`.

It starts `lake dev` on a generated landing zone in a temporary folder, waits until every partition is materialized, and
opens the pages in a headless Chromium. Needs chromium or google-chrome; nothing is downloaded.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from lake_pipeline_tests.dagster.servers import free_port, graphql, wait_for
from lake_pipeline_tests.support.browsers import FLAGS, browser_path

IMAGES = Path(__file__).parent / "images"

ASSET = "/assets/json_parsed_parquet"

PAGES = {
    "ui.png": (f"{ASSET}?view=partitions&partition=2026-01-22%7Clive", "contract version"),
    "ui-lineage.png": ("/asset-groups", "parquet"),
    "ui-checks.png": (f"{ASSET}?view=checks", "row_count"),
    "ui-backlog.png": ("/assets/lake_backlog?view=overview", "files pending"),
    "ui-runs.png": ("/runs", "Success"),
}
"""Pictures by name, each with a text that appears late on its page. The dialog needs clicks: see `take_dialog`."""

PARTITIONS = 84
"""Partitions of the generated landing zone: three weeks of four modes."""

QUERY = """{ assetNodeOrError(assetKey: {path: ["json_parsed_parquet"]}) {
    ... on AssetNode { partitionStats { numMaterialized } } } }"""

SETTLES_MS = 15_000
"""A page sends queries until it is complete and continues to refresh, so there is no event to wait for."""

TIMEOUT_MS = 90_000
"""On a busy machine the first page takes almost a minute."""


def main() -> None:
    browser = browser_path()
    if browser is None:
        sys.exit("No browser was found (on Debian and Ubuntu: apt install chromium).")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, lake_dev(Path(folder)) as url, sync_playwright() as playwright:
        if not wait_for(lambda: materialized(url) == PARTITIONS, 300):
            sys.exit(f"The sensor did not fill {PARTITIONS} partitions in 300 s.")
        chromium = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(TIMEOUT_MS)
        for name, (path, late) in PAGES.items():
            page.goto(url + path)
            page.get_by_text(late).first.wait_for()
            take(page, name)
        take_dialog(page, url)
        chromium.close()


def take(page: Page, name: str) -> None:
    """Save a picture of the page."""
    page.wait_for_timeout(SETTLES_MS)
    page.screenshot(path=IMAGES / name)
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


def take_dialog(page: Page, url: str) -> None:
    """Save a picture of the dialog that launches a backfill, with a selection."""
    page.goto(f"{url}{ASSET}?view=partitions")
    page.get_by_role("button", name="Materialize…").click()
    days = page.get_by_role("dialog").get_by_placeholder("ex:")
    days.fill("[2026-01-12...2026-01-18]")
    days.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="All").last.click()
    take(page, "ui-backfill.png")


@contextmanager
def lake_dev(folder: Path) -> Iterator[str]:
    """The URL of a UI over a lake in `folder`."""
    port = free_port()
    settings = {
        "LAKE_ROOT": str(folder / "lake"),
        "LAKE_HOME": str(folder / "home"),
        # The days of the generated files; otherwise the picture would show ten years of missing partitions.
        "LAKE_FIRST_DATE": "2026-01-05",
        "LAKE_LAST_DATE": "2026-01-25",
    }
    command = [sys.executable, "-c", "from lake_pipeline.cli import main; main()", "dev", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def materialized(url: str) -> int:
    """How many partitions are materialized; 0 as long as the UI does not respond."""
    try:
        return int(graphql(url, QUERY)["assetNodeOrError"]["partitionStats"]["numMaterialized"])
    except (OSError, KeyError, TypeError):
        return 0


if __name__ == "__main__":
    main()
