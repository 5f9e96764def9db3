"""How much a batch claims, how long a claim lasts, and when files are converted again."""

from __future__ import annotations

from pydantic import Field

from lake_pipeline.model import defaults
from lake_pipeline.model.files import NewVersion
from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.value_types import Size


class BatchSettings(SettingsGroup):
    """Batches: claims and retries"""

    batch_files: int = Field(default=defaults.BATCH_FILES, ge=1, le=100_000)
    """The maximum number of files in a batch."""

    batch_bytes: Size = Field(default=defaults.BATCH_BYTES, ge=1)
    """The maximum of raw bytes in a batch, as stored; for example `500MB`, `2GB` or `1GiB`."""

    lease_seconds: int = Field(default=defaults.LEASE_SECONDS, ge=1, le=86_400)
    """How long a claim lasts without renewal. A live worker renews it three times in that time."""

    max_attempts: int = Field(default=defaults.MAX_ATTEMPTS, ge=1, le=100)
    """How often a file is tried before it is quarantined."""

    new_version: NewVersion = NewVersion.REPLACE
    """What to do if a key is uploaded again with different content. `replace` removes the rows of the older version
    and adds the new ones in one commit. `append` keeps both. `ignore` keeps the version that was published first."""
