"""`lake`: the commands. Each loads the settings, calls one use case and prints the result.

One module per command or command group, named like it. `output` and `group` are shared by all commands;
`demo_summary` belongs to `demo`. Modules that are slow to import (Dagster, DuckDB, SQLAlchemy, boto3) are imported
inside the command that needs them, so that `lake --help` is fast.
"""

from __future__ import annotations

import click

from lake_pipeline import __version__
from lake_pipeline.cli.catalog import catalog
from lake_pipeline.cli.contract import contract
from lake_pipeline.cli.demo import demo
from lake_pipeline.cli.dev import dev
from lake_pipeline.cli.discover import discover
from lake_pipeline.cli.forget import forget
from lake_pipeline.cli.fsck import fsck
from lake_pipeline.cli.group import LakeGroup
from lake_pipeline.cli.ingest import ingest
from lake_pipeline.cli.inspect import inspect
from lake_pipeline.cli.ledger import ledger
from lake_pipeline.cli.output import log_to_stderr
from lake_pipeline.cli.plan import plan
from lake_pipeline.cli.provision import provision
from lake_pipeline.cli.query import query
from lake_pipeline.cli.rebuild import rebuild
from lake_pipeline.cli.recover import recover
from lake_pipeline.cli.release import release
from lake_pipeline.cli.retry import retry
from lake_pipeline.cli.snapshot import snapshot
from lake_pipeline.cli.status import status


@click.group(cls=LakeGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lake")
@click.option("-v", "--verbose", is_flag=True, help="Log each step to stderr.")
def main(verbose: bool) -> None:
    """Raw JSON to partitioned Parquet, exactly once, with every row accounted for.

    Settings are LAKE_* variables; docs/settings.md lists them. Every command takes --json.
    """
    log_to_stderr(verbose)


COMMANDS = (
    demo,
    dev,
    inspect,
    discover,
    ingest,
    status,
    plan,
    retry,
    release,
    rebuild,
    forget,
    fsck,
    recover,
    query,
    snapshot,
    contract,
    catalog,
    ledger,
    provision,
)
for command in COMMANDS:
    main.add_command(command)
