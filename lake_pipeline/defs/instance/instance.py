"""The Dagster instance of a lake on this machine: its home directory, the files in it, and how to open it.

`lake dev` and `lake demo` share it under LAKE_HOME, so that the UI shows the runs of the demo. The instance of a
deployment is configured by $DAGSTER_HOME and is not opened here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

import lake_pipeline
from lake_pipeline.defs.instance.storage import storage_config
from lake_pipeline.settings import Settings

CONFIG = "dagster.yaml"


def dagster_home(settings: Settings) -> Path:
    """`LAKE_HOME/dagster`, created if missing, with the current dagster.yaml in it."""
    home = settings.storage.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_config(), home / CONFIG)
    return home


@contextmanager
def lake_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance under `dagster_home`, with the storage of `settings`."""
    ref = InstanceRef.from_dir(str(dagster_home(settings)), overrides={"storage": storage_config(settings)})
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance


def _config() -> Path:
    """dagster.yaml: in a checkout it is next to the package, in an installed wheel inside of it."""
    package = Path(lake_pipeline.__file__).parent
    packaged = package / CONFIG
    return packaged if packaged.exists() else package.parent / CONFIG
