"""The installed browser, for tests and pictures of the UI. Nothing is downloaded."""

from __future__ import annotations

import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Chromium has no sandbox as root; the other flags keep it from using the network."""


def browser_path() -> str | None:
    """The path of a Chromium, or None if none is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
