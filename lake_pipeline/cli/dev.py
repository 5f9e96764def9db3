"""`lake dev`: the Dagster UI on this machine, over the lake of the settings."""

from __future__ import annotations

from pathlib import Path

import click

from lake_pipeline.cli.output import as_json, print_json, print_line


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@as_json
def dev(port: int, json_: bool) -> None:
    """Start the Dagster UI. If the lake is empty, create the demo's landing zone first. Ctrl-C stops it.

    With --json one object with the address is printed before the UI starts.
    """
    from lake_pipeline.composition import check_before_demo
    from lake_pipeline.demo_data import LandingZoneConflict, ensure_landing_zone, has_landing_zone
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    root, home = settings.storage.root, settings.storage.home
    # After the settings: loading Dagster takes seconds, and a wrong setting should be reported at once.
    from lake_pipeline.defs.local.dev import run_dev

    if not has_landing_zone(settings.storage.home):
        check_before_demo(settings)
    try:
        # The demo's files never go into a bucket.
        if isinstance(root, Path):
            ensure_landing_zone(root, home)
    except LandingZoneConflict:
        print_line(f"{root} already contains files, so no landing zone was created.", err=True)
    if json_:
        print_json({"url": f"http://127.0.0.1:{port}", "root": str(root), "home": str(home)})
    raise SystemExit(run_dev(settings, port=port))
