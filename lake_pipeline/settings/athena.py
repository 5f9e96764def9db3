"""Queries with Athena: workgroup, results, price. The database that it reads is in `glue`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from lake_pipeline.settings.group import PREFIX, SettingsGroup


class AthenaSettings(SettingsGroup):
    """Athena: queries"""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}ATHENA_")

    workgroup: str = Field(default="primary", pattern=r"^[a-zA-Z0-9._-]{1,128}$")
    """The workgroup in which `lake query --engine athena` runs."""

    output: str | None = Field(default=None, pattern=r"^s3://[^/]+(/.*)?$")
    """Where Athena writes results, `s3://bucket/folder/`. By default the workgroup decides."""

    price: float = Field(default=5.0, ge=0)
    """Athena's price per TB scanned, in USD, in your region; for the displayed cost."""
