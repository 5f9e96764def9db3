"""AWS Glue: the Data Catalog and the job that converts, as `lake provision` configures them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from lake_pipeline.settings.group import PREFIX, SettingsGroup


class GlueSettings(SettingsGroup):
    """AWS Glue: catalog and job"""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}GLUE_")

    database: str = Field(default="lake", pattern=r"^[a-z0-9_]{1,255}$")
    """The database of the Glue Data Catalog with the table json_parsed_parquet."""

    job: str = Field(default="lake-conversion", pattern=r"^[A-Za-z0-9_-]{1,255}$")
    """The name of the Glue job that converts."""

    role: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    """The ARN of the role that the Glue job runs as. Without it `lake provision` creates no job."""

    worker: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    """The worker type of a Glue run, as configured by `lake provision`: 4, 8, 16 or 32 cores each."""

    workers: int = Field(default=10, ge=2, le=299)
    """The number of workers of a Glue run, as configured by `lake provision`. One of them is the driver."""

    minutes: int = Field(default=480, ge=1, le=10_080)
    """The time limit of a Glue run, as configured by `lake provision`."""
