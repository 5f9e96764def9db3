"""`lake fsck`: one line for each inconsistency, and an exit code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, waiting

if TYPE_CHECKING:
    from lake_pipeline.usecases.fsck.findings import Finding


@click.command()
@click.option("--shallow", is_flag=True, help="Compare names and sizes only; do not read published files.")
@click.option(
    "--repair", is_flag=True, help="Repair what is safe, and rebuild missing data files. Originals are never changed."
)
@as_json
def fsck(shallow: bool, repair: bool, json_: bool) -> None:
    """Compare the store with the ledger, in both directions, and print every inconsistency.

    Checks landing zones, archive, curated and quarantine files, pending objects, unfinished batches. It can run during
    ingestion. Exits with 0 only if no inconsistency is left. With --json one object per line, the last one a summary.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.fsck.audit import Audit

    problems: Counter[str] = Counter()
    mended = 0
    with open_lake(load_settings()) as lake, waiting("Comparing the store with the ledger"):
        audit = Audit(lake=lake, shallow=shallow, repair=repair)
        for finding in audit.findings():
            problems[finding.problem] += 1
            mended += finding.mended
            print_json(_as_json(finding)) if json_ else print_line(_line(finding))
    left = problems.total() - mended
    if json_:
        print_json({"clean": not left, "found": dict(problems), "mended": mended, "expired": audit.expired})
    else:
        if audit.expired:
            print_line(f"{audit.expired} files of quarantined records have expired (LAKE_QUARANTINE_DAYS).")
        print_line(_summary(problems.total(), mended))
    if left:
        raise click.ClickException(f"{left} {'inconsistency is' if left == 1 else 'inconsistencies are'} left.")


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "problem": finding.problem.value,
        "key": finding.key,
        "text": finding.text,
        "mendable": finding.is_mendable,
        "mended": finding.mended,
    }


def _line(finding: Finding) -> str:
    return f"{finding.problem.value}{' (repaired)' if finding.mended else ''}: {finding.text}"


def _summary(problems: int, repaired: int) -> str:
    if not problems:
        return "The store and the ledger agree."
    return f"{problems} found, {repaired} repaired."
