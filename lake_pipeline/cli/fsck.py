"""`lake fsck`: what is wrong, one line each, and an exit code that says whether anything is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, waiting

if TYPE_CHECKING:
    from lake_pipeline.ingest.fsck.findings import Finding


@click.command()
@click.option("--shallow", is_flag=True, help="Compare names and sizes only, and read no published file.")
@click.option(
    "--repair", is_flag=True, help="Mend what is safe, and rebuild what readers miss. No original is touched."
)
@as_json
def fsck(shallow: bool, repair: bool, json_: bool) -> None:
    """Compare the store with the ledger, both ways, and tell everything that is wrong.

    Landing zones, archive, curated and quarantine files, pending objects, unfinished batches. Works beside running
    ingests. Exits with 0 only if nothing is wrong any more. With --json one object a line, the last one a summary.
    """
    from lake_pipeline.ingest.fsck.audit import Audit
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    found: Counter[str] = Counter()
    mended = 0
    with open_lake(load_settings()) as lake, waiting("Comparing the store with the ledger"):
        audit = Audit(lake=lake, shallow=shallow, repair=repair)
        for finding in audit.findings():
            found[finding.problem] += 1
            mended += finding.mended
            print_json(_as_json(finding)) if json_ else click.echo(_line(finding))
    left = found.total() - mended
    if json_:
        print_json({"clean": not left, "found": dict(found), "mended": mended, "expired": audit.expired})
    else:
        if audit.expired:
            click.echo(f"{audit.expired} files of quarantined records have expired, as LAKE_QUARANTINE_DAYS says.")
        click.echo(_summary(found.total(), mended))
    if left:
        raise click.ClickException(f"{left} {'thing is' if left == 1 else 'things are'} wrong.")


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "problem": finding.problem.value,
        "key": finding.key,
        "text": finding.text,
        "mendable": finding.is_mendable,
        "mended": finding.mended,
    }


def _line(finding: Finding) -> str:
    return f"{finding.problem.value}{' (mended)' if finding.mended else ''}: {finding.text}"


def _summary(found: int, mended: int) -> str:
    if not found:
        return "The store and the ledger agree."
    return f"{found} found, {mended} mended."
