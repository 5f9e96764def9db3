"""A landing zone that looks like life, made for `lake demo` and `lake dev`: the same bytes each time.

`plan` says which files there are and what is wrong with them, `records` what a record looks like, `files` how
records become bytes, `landing_zone` how it all comes to stand in a lake's landing zones exactly once. Nothing
here knows how files are ingested.
"""

from lake_pipeline.demo_data.landing_zone import LandingZoneTaken, ensure_landing_zone, made_counts
from lake_pipeline.demo_data.plan import DemoCounts

__all__ = ["DemoCounts", "LandingZoneTaken", "ensure_landing_zone", "made_counts"]
