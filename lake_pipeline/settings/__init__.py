"""The settings of the lake, read from `LAKE_*` variables: the only reader of the environment.

Nothing here opens a connection or a file. What lies below the commands and Dagster never sees `Settings`:
`lake_pipeline.opening` turns it into the values they need.
"""

from lake_pipeline.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
