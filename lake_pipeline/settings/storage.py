"""Where the lake is: its root, its home on this machine, and the bucket with its lifecycle and events.

What happens to the data is in `records` and `contract`; Glue and Athena have groups of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from lake_pipeline.errors import SettingsError
from lake_pipeline.model.key_filter import EXCLUDED
from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.home import default_home, home_beside, home_in_data_folder, old_home
from lake_pipeline.settings.value_types import Folder, Globs, HttpUrl, Root, S3Root


class StorageSettings(SettingsGroup):
    """Storage: the lake's root, its home on this machine, and the bucket"""

    root: Root = Path("./lake")
    """The lake: landing zones, curated Parquet, archive, quarantine. A directory, created if it is missing, or
    `s3://bucket/prefix`. See docs/s3.md."""

    min_age_seconds: int | None = Field(default=None, ge=0, le=86_400)
    """How many seconds ago a file must have been changed last before a listing registers it: a younger one may still be
    written. `lake discover` waits for it, up to half a minute."""

    include: Globs = ()
    """Names of files that are data, as globs separated by commas: `*.json, *.json.gz`. By default all are. `*` is any
    text, `?` one character. A pattern with a slash is compared with the whole key: `2026/week*/orders/*`. Applies to
    listings, inventories and events; files that are registered already stay registered."""

    exclude: Globs = EXCLUDED
    """Names of files that are not data, in the same form. Setting it replaces the default; `none` excludes nothing.
    Files and folders whose names begin with `.` or `_` are always skipped."""

    follow_links: bool = False
    """Whether a listing also reads the targets of symbolic links in the landing zones, if they are in `LAKE_ROOT`. Each
    target is read once, under its own name. By default links are reported and not followed."""

    s3_endpoint_url: HttpUrl | None = None
    """The URL of an S3-compatible store, for example `http://minio:9000`. Not needed for AWS."""

    home: Folder = Field(default_factory=lambda fields: _default_home(fields))
    """The lake's folder on this machine: the embedded PostgreSQL, logs, locks. By default it depends on the root only:
    beside a directory it is `.lake-NAME` (`.lake` beside a root called `lake`). For a bucket, and if nothing can be
    created beside the root, it is a folder in `$XDG_DATA_HOME/lake_pipeline` (`~/.local/share/lake_pipeline`). An
    existing `./.lake` of this root is used if no other home of it exists. `lake status` prints the home. If root uses
    a home that other users can't enter, the data of PostgreSQL is in `/var/tmp` (docs/security.md)."""

    s3_timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    """How long to wait for a silent S3 connection before the call is retried."""

    aws_region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    """The AWS region of bucket, queue and Glue. By default the AWS SDK decides: environment, then profile."""

    events_queue_url: HttpUrl | None = None
    """The SQS queue to which the bucket sends events for new objects. `lake discover --events` and a Dagster sensor
    read it."""

    versioning: bool = False
    """Whether `lake provision` turns on versioning of the bucket. It never turns it off."""

    tier_days: int = Field(default=90, ge=0, le=3650)
    """Days after which archived originals move to Intelligent-Tiering, as configured by `lake provision`."""

    quarantine_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after which quarantined records are deleted, as configured by `lake provision` and expected by
    `lake fsck`."""

    @property
    def home_origin(self) -> str:
        """Why `home` is where it is, for people."""
        if "home" in self.model_fields_set:
            return "set by LAKE_HOME"
        if self.home == old_home(self.root, self.s3_endpoint_url) and not (
            isinstance(self.root, Path) and self.home == home_beside(self.root)
        ):
            return f"found in the working directory; set LAKE_HOME={self.home} to use it in other directories"
        in_data_folder = self.home == home_in_data_folder(self.root, self.s3_endpoint_url)
        return "in the user's data folder" if in_data_folder else "beside the root"

    @property
    def directory(self) -> Path:
        """`root`, if it is a directory: the demo needs one. Raises `SettingsError` if the lake is on S3."""
        if isinstance(self.root, S3Root):
            raise SettingsError(
                self.variable("root"), f"the demo needs a directory, and the lake is {self.root}; unset it"
            )
        return self.root


def _default_home(fields: dict[str, Any]) -> Path:
    """Of the fields before it. If one of them is wrong, that is reported and the value does not matter."""
    if "root" not in fields or "s3_endpoint_url" not in fields:
        return Path()
    return default_home(fields["root"], fields["s3_endpoint_url"])
