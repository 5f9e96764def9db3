"""Takes the pictures of docs/images from the running product: `python docs/screenshots.py`.

It starts `lake dev` on a generated landing zone in a temporary folder, waits until the sensor has filled every
partition, and has a headless Chromium look at it. Needs chromium or google-chrome; nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGES = Path(__file__).parent / "images"

PAGES = {"ui.png": "/assets/json_parsed_parquet?view=partitions&partition=2026-01-22%7Clive"}

ALL = 84
"""Partitions of the generated landing zone: three weeks of four modes."""

QUERY = """{ assetNodeOrError(assetKey: {path: ["json_parsed_parquet"]}) {
    ... on AssetNode { partitionStats { numMaterialized } } } }"""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--window-size=1280,800",
    # The page is ready when nothing has happened for a while; the clock of the page runs ahead to that moment.
    "--virtual-time-budget=20000",
)


def main() -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"No browser was found (looked for {', '.join(BROWSERS)}).")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, lake_dev(Path(folder)) as url:
        wait_until_filled(url)
        for name, page in PAGES.items():
            take(browser, url + page, IMAGES / name, Path(folder))
            print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


@contextmanager
def lake_dev(folder: Path) -> Iterator[str]:
    """The URL of a UI that serves a lake in `folder`."""
    port = free_port()
    settings = {
        "LAKE_ROOT": str(folder / "lake"),
        "LAKE_HOME": str(folder / "home"),
        # The days of the generated files, so that the picture shows no ten years of missing partitions.
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


def wait_until_filled(url: str, seconds: float = 180) -> None:
    """Until every partition is materialized."""
    deadline = time.monotonic() + seconds
    while filled(url) < ALL:
        if time.monotonic() > deadline:
            sys.exit(f"The sensor did not fill {ALL} partitions in {seconds:.0f} s.")
        time.sleep(2)


def filled(url: str) -> int:
    """How many partitions are materialized; 0 while the UI does not answer yet."""
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": QUERY}).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(json.load(answer)["data"]["assetNodeOrError"]["partitionStats"]["numMaterialized"])
    except (OSError, KeyError, TypeError):
        return 0


def take(browser: str, url: str, target: Path, folder: Path) -> None:
    """A picture of `url` in `target`."""
    profile = f"--user-data-dir={folder / 'browser'}"
    subprocess.run(
        [browser, *FLAGS, profile, f"--screenshot={target}", url], check=True, stderr=subprocess.DEVNULL, timeout=120
    )


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
