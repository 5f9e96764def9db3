"""A realistic landing zone for `lake demo` and `lake dev`, with the same bytes each time.

`plan` lists the files and their defects, `records` generates records, `files` encodes them, and `landing_zone` writes
the files into a lake exactly once. Nothing here knows how files are ingested.
"""

from lake_pipeline.demo_data.landing_zone import (
    LandingZoneConflict,
    ensure_landing_zone,
    expected_counts,
    has_landing_zone,
)
from lake_pipeline.demo_data.plan import DemoCounts

__all__ = ["DemoCounts", "LandingZoneConflict", "ensure_landing_zone", "expected_counts", "has_landing_zone"]
