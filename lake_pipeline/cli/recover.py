"""`lake recover`: the steps that bring a lost or old ledger to the state of the store, printed or done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, progress

if TYPE_CHECKING:
    from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Step


@click.command()
@click.option("--apply", is_flag=True, help="Do the steps; without it they are only printed.")
@click.option("--dry-run", is_flag=True, help="Print the steps and change nothing. This is the default.")
@as_json
def recover(apply: bool, dry_run: bool, json_: bool) -> None:
    """Rebuild a lost ledger from the store, or bring one restored from a backup to the state of the store.

    Stop all workers first. Every row is in the table once afterwards, and forgotten files stay forgotten. If it is
    interrupted, run it again. Exits with 0 only if no inconsistency is left. With --json one object per line.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.recovery.rebuild_ledger.recover import recover_ledger
    from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action

    if apply and dry_run:
        raise click.UsageError("--apply and --dry-run exclude each other.")
    counts: Counter[str] = Counter()
    with open_lake(load_settings(), reading=True) as lake, progress("Replaying commits") as done:
        for step in recover_ledger(lake, apply=apply, on_progress=done):
            counts[step.action] += 1
            print_json(_as_json(step, done=apply)) if json_ else print_line(f"{step.action}: {step.key}: {step.reason}")
    left = counts[Action.LEFT]
    if json_:
        print_json({"applied": apply, "steps": dict(counts), "clean": not left})
    else:
        print_line(_summary(counts.total() - left, applied=apply))
    if left:
        raise click.ClickException(f"{left} {'inconsistency is' if left == 1 else 'inconsistencies are'} left.")


def _as_json(step: Step, *, done: bool) -> dict[str, Any]:
    return {"action": step.action.value, "key": step.key, "reason": step.reason, "done": done}


def _summary(steps: int, *, applied: bool) -> str:
    if applied:
        return f"{steps} steps done. `lake ingest` converts the files that are registered again."
    if not steps:
        return "The ledger has every commit of the store; there is nothing to recover."
    return f"{steps} steps. Nothing was changed; `lake recover --apply` does them."
