"""`lake contract …`: the columns and what was seen in them, how they came about, and making one wider."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_table, waiting

if TYPE_CHECKING:
    from lake_pipeline.contract.changes import ColumnChange
    from lake_pipeline.ingest.contracts import ContractFacts, PathFacts

version_number = click.IntRange(min=0)


@click.group()
def contract() -> None:
    """Look at the columns of the curated table, and change what only a person may change."""


@contract.command()
@as_json
def show(json_: bool) -> None:
    """Show the columns with what was seen in them, and the JSON paths that have none.

    Shares and kinds are those of published rows; "double 3" at a column of integers means that 3 rows hold a fraction
    in _rescued.
    """
    from lake_pipeline.ingest.contracts import describe
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        facts = describe(lake)
    print_json(_facts_json(facts)) if json_ else _print_facts(facts)


@contract.command()
@click.argument("before", type=version_number, required=False)
@click.argument("after", type=version_number, required=False)
@as_json
def diff(before: int | None, after: int | None, json_: bool) -> None:
    """Show what changed: by the newest version, since version BEFORE, or from BEFORE to AFTER."""
    from lake_pipeline.ingest.contracts import diff as diff_versions
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        since, to, changes = diff_versions(lake, before, after)
    if json_:
        print_json({"before": since, "after": to, "changes": [_change_json(change) for change in changes]})
        return
    click.echo(f"Contract version {since} → {to}" + ("" if changes else ": the same columns"))
    for change in changes:
        click.echo(f"  {change}")


@contract.command()
@as_json
def history(json_: bool) -> None:
    """Show every version: when it came, by which batch, and what it changed. With --json one object a line."""
    from lake_pipeline.ingest.contracts import history as steps_of
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        steps = steps_of(lake)
    for step in steps:
        if json_:
            print_json(
                {**asdict(step), "at": step.at.isoformat(), "changes": [_change_json(each) for each in step.changes]}
            )
            continue
        click.echo(f"Version {step.version}, {step.at:%Y-%m-%d %H:%M} UTC, {step.batch_kind} batch {step.batch_id}")
        for change in step.changes:
            click.echo(f"  {change}")
    if not steps and not json_:
        click.echo("There is no contract yet: run `lake discover`, then `lake ingest`.")


@contract.command()
@click.argument("path")
@as_json
def widen(path: str, json_: bool) -> None:
    """Let the column of integers at the JSON path PATH hold fractions, and rewrite the files that have it.

    All of them at once, however many: readers see none before all are written. Fractions that are in _rescued
    already stay there.
    """
    from lake_pipeline.ingest.widen_column import widen_column
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake, waiting(f"Widening {path}"):
        done = widen_column(lake, path)
    if json_:
        print_json(asdict(done))
        return
    click.echo(
        f"{done.column} is {done.after} now (before: {done.before}), contract version {done.contract_version}; "
        f"{done.files:,} files with {done.rows:,} rows were rewritten."
    )


def _facts_json(facts: ContractFacts) -> dict[str, Any]:
    return {
        "version": facts.version,
        "rows": facts.rows,
        "columns": [_path_json(each) for each in facts.columns],
        "without_column": [_path_json(each) for each in facts.without_column],
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
        [(each.column, each.type, each.path, each.since, *_seen(each)) for each in facts.columns],
    )
    if facts.without_column:
        print_table(
            "Paths without a column: null, or kept in _rescued",
            ("JSON path", "share", "seen", "first file", "last file"),
            [(each.path, *_seen(each)) for each in facts.without_column],
        )
    for each in facts.columns:
        if each.conflicts:
            kinds = " and ".join(f"{each.kinds[kind]:,} × {kind}" for kind in each.conflicts)
            click.echo(f"{each.path} is {each.type}, but there came {kinds}: kept in _rescued.")
        if each.wants_to_widen:
            click.echo(f"To have its fractions in the column: {widen_command(each.path)}")


def _seen(facts: PathFacts) -> tuple[str, str, str, str]:
    kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in facts.kinds.items())
    return f"{facts.share:.1%}", kinds or "nothing", facts.first_key or "", facts.last_key or ""


def widen_command(path: str) -> str:
    """What a person types to widen a column."""
    import shlex

    return f"lake contract widen {shlex.quote(path)}"
