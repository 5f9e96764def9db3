"""Dagster definitions of the lake: one module for each Dagster concept; their bodies are in the packages.

The lake's logic is in `lake_pipeline.usecases`. Dagster's private modules are used in `instance` only.
"""
