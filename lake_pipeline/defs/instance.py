"""The Dagster instance of a lake on this machine: its home, the files in it, and how to open it.

The instance of a deployment is Dagster's own business ($DAGSTER_HOME); here is the one that `lake dev` and
`lake demo` share under LAKE_HOME, so that the runs of a demo are seen in the UI.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

import lake_pipeline
from lake_pipeline.defs.instance_storage import storage_config
from lake_pipeline.settings import Settings

CONFIG = "dagster.yaml"


def dagster_home(settings: Settings) -> Path:
    """`LAKE_HOME/dagster`, made if missing, with the current dagster.yaml in it."""
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_config(), home / CONFIG)
    return home


@contextmanager
def lake_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance under `dagster_home`, with its storage where `settings` say."""
    ref = InstanceRef.from_dir(str(dagster_home(settings)), overrides={"storage": storage_config(settings)})
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance


def _config() -> Path:
    """dagster.yaml: beside the package in a checkout; a wheel carries it in the package."""
    package = Path(lake_pipeline.__file__).parent
    carried = package / CONFIG
    return carried if carried.exists() else package.parent / CONFIG
