"""The kernel (JSON bytes to Parquet parts) and the engines that run it. Free of Dagster, PostgreSQL and settings."""

from __future__ import annotations

import os
import tempfile

if not os.path.exists(__file__):
    # Imported from a zip, as in a Glue job: numba keeps what it has compiled (13 s) below the user's home, which may
    # not be writable there, and reads this when it is loaded. Workers of one machine share it.
    os.environ.setdefault("XDG_CACHE_HOME", os.path.join(tempfile.gettempdir(), "lake_pipeline-cache"))
