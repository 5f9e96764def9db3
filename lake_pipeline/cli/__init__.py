"""`lake`: the commands. Each loads the settings, calls one use case and shows what came out.

The modules are by intention: `files` (discover, ingest, status), `planning` (plan), `retrying` (retry, release),
`rebuilding` (rebuild, forget), `reading` (query), `showing` (demo, dev), `snapshots`, `contract`, `catalog`, `fsck`,
`ledger`, `provisioning` (provision). What is slow to import (Dagster, DuckDB, SQLAlchemy, boto3) is imported by the
command that needs it, so that `lake --help` answers at once.
"""

from __future__ import annotations

import click

from lake_pipeline import __version__
from lake_pipeline.cli.catalog import catalog
from lake_pipeline.cli.contract import contract
from lake_pipeline.cli.files import discover, ingest, status
from lake_pipeline.cli.fsck import fsck
from lake_pipeline.cli.group import LakeGroup
from lake_pipeline.cli.ledger import ledger
from lake_pipeline.cli.output import log_to_stderr
from lake_pipeline.cli.planning import plan
from lake_pipeline.cli.provisioning import provision
from lake_pipeline.cli.reading import query
from lake_pipeline.cli.rebuilding import forget, rebuild
from lake_pipeline.cli.retrying import release, retry
from lake_pipeline.cli.showing import demo, dev
from lake_pipeline.cli.snapshots import snapshot


@click.group(cls=LakeGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lake")
@click.option("-v", "--verbose", is_flag=True, help="Tell more on stderr about what is being done.")
def main(verbose: bool) -> None:
    """Raw JSON to partitioned Parquet, exactly once, with every row accounted for.

    Settings are LAKE_* variables; docs/settings.md lists them. Every command takes --json.
    """
    log_to_stderr(verbose)


COMMANDS = (
    demo,
    dev,
    discover,
    ingest,
    status,
    plan,
    retry,
    release,
    rebuild,
    forget,
    fsck,
    query,
    snapshot,
    contract,
    catalog,
    ledger,
    provision,
)
for command in COMMANDS:
    main.add_command(command)
