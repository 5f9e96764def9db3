"""The asset `landing_files`: materializing it lists the landing zones and registers new files."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.escaping.lines import one_line

if TYPE_CHECKING:
    from lake_pipeline.usecases.discovery.discover import Discovery

LANDING_NAME = "landing_files"

LISTING_VERSION = dg.DataVersion("INITIAL")
"""The data version of `landing_files`, always: the ledger tracks which files are new. With a version per listing the
UI would show every partition as unsynced after it. This is the value that Dagster assumes for an asset that was never
materialized, so files registered by `lake discover` alone count the same."""

LOGGED_PROBLEMS = 20
"""Entries that can't be read and are logged one by one."""

LISTED_WITHIN = timedelta(days=8)
"""A week and a day: the drop is weekly."""


@dg.asset(
    name=LANDING_NAME,
    kinds={"json"},
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=LISTED_WITHIN),
    description="The raw JSON files in the landing zones (all_historical_files/ and YYYY/weekXX/). Materializing "
    "lists them and registers every new object version in the ledger as PENDING; it is safe to repeat. The schedule "
    "weekly_listing lists them each week.",
)
@clear_failures
def landing_files(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]
) -> dg.MaterializeResult[None]:
    """List the landing zones."""
    from lake_pipeline.usecases.discovery.discover import discover

    discovery = discover(
        lake.open(),
        on_progress=lambda seen: context.log.info(f"{seen} objects listed so far"),
        on_wait=lambda files, seconds: context.log.info(
            f"{files} files were changed a moment ago and may still be written: waiting {seconds:.0f} s"
        ),
    )
    context.log.info(
        f"{discovery.seen} files in the landing zones, {discovery.new} of them new: pending_files_sensor requests runs "
        "that convert them"
    )
    for entry in discovery.problems[:LOGGED_PROBLEMS]:
        context.log.warning(one_line(f"Not read: {entry.text}"))
    return dg.MaterializeResult(metadata=_metadata(discovery), data_version=LISTING_VERSION)


def _metadata(discovery: "Discovery") -> Mapping[str, dg.MetadataValue]:
    """Numbers that Dagster plots over time."""
    return {
        "seen": dg.MetadataValue.int(discovery.seen),
        "new": dg.MetadataValue.int(discovery.new),
        "known": dg.MetadataValue.int(discovery.known),
        "new bytes": dg.MetadataValue.int(discovery.new_bytes),
        "skipped": dg.MetadataValue.int(discovery.skipped),
        "frozen": dg.MetadataValue.int(discovery.frozen),
        "young": dg.MetadataValue.int(discovery.young),
        "not read": dg.MetadataValue.int(discovery.unreadable),
        **({"not read, examples": dg.MetadataValue.json(_examples(discovery))} if discovery.problems else {}),
    }


def _examples(discovery: "Discovery") -> dict[str, str]:
    """Some entries that can't be read, and why: shown as JSON, which no browser renders."""
    return {entry.entry: entry.detail or entry.reason.text for entry in discovery.problems[:LOGGED_PROBLEMS]}
