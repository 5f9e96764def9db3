"""The settings of the lake, read from `LAKE_*` variables. Only this package reads the environment.

Each group of settings has a module. Nothing here opens a connection, and only `home` looks at files. Layers below the
commands and Dagster never see `Settings`: `lake_pipeline.composition` passes them values.
"""

from lake_pipeline.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
