"""The definitions that Dagster loads, built from the settings of the environment. Loading them opens nothing."""

from __future__ import annotations

from lake_pipeline.defs.build import build_defs
from lake_pipeline.settings import load_settings

defs = build_defs(load_settings())
