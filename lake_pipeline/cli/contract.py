"""`lake contract …`: show columns and their evidence, their history, and widen a column."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_table, waiting
from lake_pipeline.usecases.reports.widening import why_narrow

if TYPE_CHECKING:
    from lake_pipeline.contract.diff import ColumnChange
    from lake_pipeline.usecases.reports.contract import ContractFacts, PathFacts

version_number = click.IntRange(min=0)


@click.group()
def contract() -> None:
    """Show the columns of the curated table, and make changes that need a person."""


@contract.command()
@as_json
def show(json_: bool) -> None:
    """Show the columns with the values seen in them, and the JSON paths without a column.

    Shares and kinds count published rows. For a column of integers "double 3" means that 3 rows have a fraction in
    _rescued.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.reports.contract import describe

    with open_lake(load_settings(), reading=True) as lake:
        facts = describe(lake)
    print_json(_facts_json(facts)) if json_ else _print_facts(facts)


@contract.command()
@click.argument("before", type=version_number, required=False)
@click.argument("after", type=version_number, required=False)
@as_json
def diff(before: int | None, after: int | None, json_: bool) -> None:
    """Show what changed: in the newest version, since version BEFORE, or from BEFORE to AFTER."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.reports.contract import diff as diff_versions

    with open_lake(load_settings(), reading=True) as lake:
        since, to, changes = diff_versions(lake, before, after)
    if json_:
        print_json({"before": since, "after": to, "changes": [_change_json(change) for change in changes]})
        return
    print_line(f"Contract version {since} → {to}" + ("" if changes else ": the same columns"))
    for change in changes:
        print_line(f"  {change}")


@contract.command()
@as_json
def history(json_: bool) -> None:
    """Show every version: its time, its batch and its changes. With --json one object per line."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.reports.contract import history as contract_history

    with open_lake(load_settings(), reading=True) as lake:
        steps = contract_history(lake)
    for step in steps:
        if json_:
            changes = [_change_json(change) for change in step.changes]
            print_json({**asdict(step), "at": step.at.isoformat(), "changes": changes})
            continue
        print_line(f"Version {step.version}, {step.at:%Y-%m-%d %H:%M} UTC, {step.batch_kind} batch {step.batch_id}")
        for change in step.changes:
            print_line(f"  {change}")
    if not steps and not json_:
        print_line("There is no contract yet: run `lake discover`, then `lake ingest`.")


@contract.command()
@click.argument("path")
@as_json
def widen(path: str, json_: bool) -> None:
    """Widen the column of integers at the JSON path PATH to hold fractions, and rewrite the files that have it.

    All files change in one commit: readers see none before all are written. Integers beyond 2^53, which no double
    holds, go to _rescued. Fractions that are already in _rescued stay there.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.widen import widen_column

    with open_lake(load_settings()) as lake, waiting(f"Widening {path}"):
        result = widen_column(lake, path)
    if json_:
        print_json(asdict(result))
        return
    print_line(
        f"{result.column} is {result.after} now (before: {result.before}), contract version {result.contract_version}; "
        f"{result.files:,} files with {result.rows:,} rows were rewritten."
    )
    if result.rescued:
        print_line(f"{result.rescued:,} rows got their first value in _rescued: integers beyond 2^53.")


def _facts_json(facts: ContractFacts) -> dict[str, Any]:
    return {
        "version": facts.version,
        "rows": facts.rows,
        "columns": [_path_json(column) for column in facts.columns],
        "without_column": [_path_json(path) for path in facts.without_column],
    }


def _path_json(facts: PathFacts) -> dict[str, Any]:
    times = {
        name: time.isoformat() if time else None
        for name, time in (("first_seen_at", facts.first_seen_at), ("last_seen_at", facts.last_seen_at))
    }
    return {**asdict(facts), "conflicts": list(facts.conflicts), **times}


def _change_json(change: ColumnChange) -> dict[str, Any]:
    return {**asdict(change), "change": change.change.value}


def _print_facts(facts: ContractFacts) -> None:
    print_table(
        f"Contract version {facts.version}, {len(facts.columns):,} columns; seen in {facts.rows:,} rows",
        ("column", "type", "JSON path", "since", "share", "seen", "first file", "last file"),
        [(column.column, column.type, column.path, column.since, *_seen(column)) for column in facts.columns],
    )
    if facts.without_column:
        print_table(
            "Paths without a column: null, or kept in _rescued",
            ("JSON path", "share", "seen", "first file", "last file"),
            [(path.path, *_seen(path)) for path in facts.without_column],
        )
    for column in facts.columns:
        if column.conflicts:
            kinds = " and ".join(f"{column.kinds[kind]:,} × {kind}" for kind in column.conflicts)
            print_line(f"{column.path} is {column.type}, but {kinds} arrived: kept in _rescued.")
        if column.wants_to_widen:
            print_line(why_narrow(column.path, is_lossy=column.widening_is_lossy))


def _seen(facts: PathFacts) -> tuple[str, str, str, str]:
    kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in facts.kinds.items())
    return f"{facts.share:.1%}", kinds or "nothing", facts.first_key or "", facts.last_key or ""
