"""The Glue job that lists: registers every new file of the landing zones in the ledger, as `lake discover` does.

    --LAKE_ROOT s3://bucket/prefix --LAKE_LEDGER_… …

Settings are arguments, because a job has no environment of its own. No Spark is started: any Glue job with a Python
of 3.11 or newer runs it, and so does `python file_lister.py`. docs/glue.md says how the job is set up.
"""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("lake_pipeline.glue")

VERSION = "0.1.0"
"""That of lake_pipeline.zip, which a test keeps equal: what is uploaded must belong together."""


def main(given: list[str]) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
    logging.getLogger("lake_pipeline").setLevel(logging.INFO)
    from lake_pipeline import __version__
    from lake_pipeline.ingest.discover import discover
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.settings.arguments import settings_in

    if __version__ != VERSION:
        raise SystemExit(f"file_lister.py is of version {VERSION}, lake_pipeline.zip of {__version__}: upload both")
    with open_lake(load_settings(**settings_in(given))) as lake:
        found = discover(lake, on_progress=lambda seen: log.info("%d objects listed so far", seen))
    log.info("%d objects seen, %d new, %d known, %d skipped", found.seen, found.new, found.known, found.skipped)


if __name__ == "__main__":
    main(sys.argv[1:])
