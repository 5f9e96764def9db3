"""The Glue job that lists files: registers every new file of the landing zones in the ledger, as `lake discover` does.

    --LAKE_ROOT s3://bucket/prefix --LAKE_LEDGER_… …

Settings are arguments, because a job has no environment of its own. No Spark is started: any Glue job with Python 3.11
or newer can run it, and so can `python file_lister.py`. docs/glue.md explains the set-up of the job.
"""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("lake_pipeline.glue")

VERSION = "0.1.0"
"""The version of lake_pipeline.zip; a test keeps them equal, because they must be uploaded together."""


def main(command_line: list[str]) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
    logging.getLogger("lake_pipeline").setLevel(logging.INFO)
    from lake_pipeline import __version__
    from lake_pipeline.composition import open_lake
    from lake_pipeline.escaping.log_records import escape_log_records
    from lake_pipeline.settings import load_settings
    from lake_pipeline.settings.arguments import settings_in
    from lake_pipeline.usecases.discovery.discover import discover

    if __version__ != VERSION:
        raise SystemExit(f"file_lister.py is of version {VERSION}, lake_pipeline.zip of {__version__}: upload both")
    escape_log_records()
    with open_lake(load_settings(**settings_in(command_line))) as lake:
        result = discover(lake, on_progress=lambda seen: log.info("%d objects listed so far", seen))
    log.info("%d objects seen, %d new, %d known, %d skipped", result.seen, result.new, result.known, result.skipped)


if __name__ == "__main__":
    main(sys.argv[1:])
