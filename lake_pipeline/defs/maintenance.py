"""What keeps the lake in order by the clock: the asset `lake_fsck` with its check, the sweep, and a look at partitions.

What is compared, mended and swept is written in `ingest`; here it becomes runs that people see.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from lake_pipeline.defs.reporting import log_expectations
from lake_pipeline.defs.resources import LakeResource

FSCK_NAME = "lake_fsck"
FSCK_CHECK = "clean"
UPKEEP_JOB = "lake_upkeep_job"
EXPECTATIONS_JOB = "expectations_job"

LOOKED_BACK = timedelta(days=35)
"""Five weeks: what lies further back changes with a run, which checks it anyway."""

MOST_LOOKED_AT = 5_000
"""Partitions in one night, the newest first; each leaves three events."""

MOST_SHOWN = 50
"""Findings that are shown; a lake that lost a folder has millions."""

log = logging.getLogger(__name__)


class FsckConfig(dg.Config):
    """The run config of `lake_fsck`."""

    shallow: bool = Field(
        default=True,
        description="Compare names, sizes and sums only. Off, every published file is read, which takes as long as "
        "reading the whole table.",
    )
    repair: bool = Field(default=False, description="Mend what is safe, as `lake fsck --repair` does.")


def lake_fsck(group: str) -> dg.AssetsDefinition:
    """The comparison of store and ledger as an asset; its check fails where something is wrong and not mended."""

    @dg.multi_asset(
        name="compare_store_and_ledger",
        specs=[
            dg.AssetSpec(
                FSCK_NAME,
                group_name=group,
                kinds={"postgres", "parquet"},
                description="What `lake fsck` finds: landing zones, archive, published files and unfinished work "
                "compared with the ledger, both ways. Every night; works beside running ingests.",
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(FSCK_CHECK, asset=FSCK_NAME, description="The store and the ledger agree.", blocking=True)
        ],
    )
    def compare_store_and_ledger(
        config: FsckConfig, lake: dg.ResourceParam[LakeResource]
    ) -> Iterator[dg.MaterializeResult[None]]:
        from lake_pipeline.ingest.fsck.audit import Audit

        findings = Audit(lake=lake.open(), shallow=config.shallow, repair=config.repair).findings()
        found = mended = 0
        rows = list[str]()
        for finding in findings:
            found, mended = found + 1, mended + finding.mended
            if len(rows) < MOST_SHOWN:
                log.warning("%s: %s", finding.problem, finding.text)
                rows.append(f"| {finding.problem} | {'yes' if finding.mended else 'no'} | {_cell(finding.text)} |")
        left = found - mended
        yield dg.MaterializeResult(
            metadata={"found": found, "mended": mended, "left": left, "findings": dg.MetadataValue.md(_table(rows))},
            check_results=[
                dg.AssetCheckResult(
                    passed=not left,
                    check_name=FSCK_CHECK,
                    description=f"{left} things are wrong" if left else "The store and the ledger agree",
                    metadata={"left": left},
                )
            ],
        )
        if left:
            raise dg.Failure(
                f"{left} things are wrong. The asset's findings and this log name the first {MOST_SHOWN}; `lake fsck` "
                "tells all, `lake fsck --repair` mends what is safe.",
                allow_retries=False,
            )

    return compare_store_and_ledger


def upkeep_job() -> dg.JobDefinition:
    """Takes back what lost workers held, archives what is left over, sweeps what nobody will publish."""

    @dg.op(description="Reclaim the files of lost workers, finish their batches, archive what is left over, and sweep.")
    def sweep(lake: dg.ResourceParam[LakeResource]) -> None:
        from lake_pipeline.ingest.reconcile import recover, sweep_pending

        opened = lake.open()
        recover(opened)
        log.info("%d objects of batches that are over were swept", sweep_pending(opened))

    @dg.job(
        name=UPKEEP_JOB,
        executor_def=dg.in_process_executor,
        description="Keeps the lake tidy where nothing is ingested for a while: each batch does the same at its start.",
    )
    def upkeep() -> None:
        sweep()

    return upkeep


def expectations_job() -> dg.JobDefinition:
    """Looks again at the checks that change with time alone: a file that waits longer and longer, a week to compare."""

    @dg.op(
        description="Check completeness, quarantine share and freshness of the partitions of the last five weeks, and "
        "of all that files wait for."
    )
    def check_expectations(context: dg.OpExecutionContext, lake: dg.ResourceParam[LakeResource]) -> None:
        from lake_pipeline.ingest.expectations import expectations

        opened = lake.open()
        since = datetime.now(UTC).date() - LOOKED_BACK
        partitions = opened.ledger.partitions_to_look_at(since=since, limit=MOST_LOOKED_AT)
        found = expectations(opened, opened.ledger.partition_accounts(partitions))
        told = log_expectations(context, found)
        warned = sum(any(verdict.warns for verdict in verdicts.values()) for verdicts in found.values())
        log.info("%d partitions were looked at, %d of them materialized: %d warn", len(found), told, warned)

    @dg.job(
        name=EXPECTATIONS_JOB,
        executor_def=dg.in_process_executor,
        description="Brings completeness, quarantine_share and freshness of the latest partitions up to date where no "
        "run does: a file that waits makes no run, and its partition would look fresh for ever.",
    )
    def look_again() -> None:
        check_expectations()

    return look_again


def _table(rows: list[str]) -> str:
    return "\n".join(["| problem | mended | what |", "|---|---|---|", *rows]) if rows else "Nothing is wrong."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
