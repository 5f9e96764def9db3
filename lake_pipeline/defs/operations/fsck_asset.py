"""The asset `lake_fsck`: compares the store with the ledger. `usecases.fsck` decides what is inconsistent."""

import logging
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from lake_pipeline.defs.checks import FSCK_CHECK, fsck_check_spec
from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.escaping import markdown

FSCK_NAME = "lake_fsck"

MAX_FINDINGS = 50
"""Findings in the metadata; a lake that lost a folder has millions."""

log = logging.getLogger(__name__)


class FsckConfig(dg.Config):
    """The run config of `lake_fsck`."""

    shallow: bool = Field(
        default=True,
        description="Compare names, sizes and checksums only. If false, every published file is read, which takes as "
        "long as reading the whole table.",
    )
    repair: bool = Field(default=False, description="Repair what is safe, like `lake fsck --repair`.")


@dg.multi_asset(
    name="compare_store_and_ledger",
    specs=[
        dg.AssetSpec(
            FSCK_NAME,
            kinds={"postgres", "parquet"},
            description="The findings of `lake fsck`: landing zones, archive, published files and unfinished work "
            "compared with the ledger, in both directions. Runs every night, also while files are ingested.",
        )
    ],
    check_specs=[fsck_check_spec(FSCK_NAME)],
)
@clear_failures
def lake_fsck(config: FsckConfig, lake: dg.ResourceParam[LakeResource]) -> Iterator[dg.MaterializeResult[None]]:
    """Compare both; raises `dg.Failure` if an inconsistency is left."""
    from lake_pipeline.usecases.fsck.audit import Audit

    findings = Audit(lake=lake.open(), shallow=config.shallow, repair=config.repair).findings()
    count = repaired = 0
    rows = list[tuple[str, str, str]]()
    for finding in findings:
        count, repaired = count + 1, repaired + finding.mended
        if len(rows) < MAX_FINDINGS:
            log.warning("%s: %s", finding.problem, finding.text)
            rows.append((finding.problem.value, "yes" if finding.mended else "no", markdown.text(finding.text)))
    left = count - repaired
    yield dg.MaterializeResult(
        metadata={"found": count, "mended": repaired, "left": left, "findings": dg.MetadataValue.md(_table(rows))},
        check_results=[
            dg.AssetCheckResult(
                passed=not left,
                check_name=FSCK_CHECK,
                description=f"{left} inconsistencies found" if left else "The store and the ledger agree",
                metadata={"left": left},
            )
        ],
    )
    if left:
        raise dg.Failure(
            f"{left} inconsistencies found. The asset's findings and this log show the first {MAX_FINDINGS}; run "
            "`lake fsck` to list them all, `lake fsck --repair` to repair what is safe.",
            allow_retries=False,
        )


def _table(rows: list[tuple[str, str, str]]) -> str:
    return markdown.table(("problem", "repaired", "what"), rows) if rows else "No inconsistencies."
