"""`Settings`: every LAKE_* variable with its type, default and meaning, and the way to load them.

The text under a field is its documentation; docs/settings.md is made from it. A wrong value ends in one
`SettingsError` that names the variable.
"""

from __future__ import annotations

import os
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lake_pipeline.convert.request import ConversionOptions, Truncated
from lake_pipeline.errors import SettingsError
from lake_pipeline.model.files import NewVersion
from lake_pipeline.settings.kinds import (
    AlertTarget,
    Cron,
    EngineName,
    FieldPath,
    File,
    Folder,
    HttpUrl,
    KeyPattern,
    Mode,
    Owner,
    PostgresUrl,
    Root,
    S3Root,
    Size,
    SparkMaster,
    TimeZone,
)

PREFIX = "LAKE_"
_OPTIONS = ConversionOptions()


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """What a person can decide about a lake. Use `load_settings`, which explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    root: Root = Path("./lake")
    """The lake: landing zones, curated Parquet, archive, quarantine. A directory, made if it is missing, or
    `s3://bucket/prefix`. See docs/s3.md."""

    s3_endpoint_url: HttpUrl | None = None
    """The address of an S3-compatible store, like `http://minio:9000`. Not needed for AWS."""

    aws_region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    """The AWS region of bucket, queue and Glue. Else the AWS SDK looks where it always does: environment, profile."""

    s3_timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    """How long a silent connection to S3 is waited for before the call is tried again."""

    events_queue_url: HttpUrl | None = None
    """The SQS queue that the bucket tells new objects to. `lake discover --events` and a Dagster sensor read it."""

    versioning: bool = False
    """Whether `lake provision` switches versioning of the bucket on. It never switches it off."""

    tier_days: int = Field(default=90, ge=0, le=3650)
    """Days after which archived originals go to Intelligent-Tiering, as `lake provision` sets it up."""

    quarantine_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after which quarantined records are deleted, as `lake provision` sets it up and `lake fsck` expects it."""

    glue_database: str = Field(default="lake", pattern=r"^[a-z0-9_]{1,255}$")
    """The database of the Glue Data Catalog that has the table json_parsed_parquet."""

    athena_workgroup: str = Field(default="primary", pattern=r"^[a-zA-Z0-9._-]{1,128}$")
    """The workgroup in which `lake query --engine athena` runs."""

    athena_output: str | None = Field(default=None, pattern=r"^s3://[^/]+(/.*)?$")
    """Where Athena writes results, `s3://bucket/folder/`. Else the workgroup says where."""

    athena_price: float = Field(default=5.0, ge=0)
    """What Athena asks for a terabyte read, in dollars, in your region; for the cost that is shown."""

    glue_job: str = Field(default="lake-conversion", pattern=r"^[A-Za-z0-9_-]{1,255}$")
    """The name of the Glue job that converts."""

    glue_role: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    """The ARN of the role that the Glue job runs as. Without it `lake provision` makes no job."""

    glue_worker: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    """The type of the workers of a Glue run, as `lake provision` sets it up: 4, 8, 16 or 32 cores each."""

    glue_workers: int = Field(default=10, ge=2, le=299)
    """How many workers a Glue run has, as `lake provision` sets it up. One of them is the driver."""

    glue_minutes: int = Field(default=480, ge=1, le=10_080)
    """How long a Glue run may take, as `lake provision` sets it up."""

    home: Folder = Path("./.lake")
    """The directory for what the lake keeps beside the data: the embedded PostgreSQL, logs, locks."""

    ledger_url: PostgresUrl | None = Field(default=None, repr=False)
    """The ledger's PostgreSQL, `postgresql://user:password@host:5432/database`. A database given here is
    only migrated by `lake ledger migrate`."""

    ledger_secret: str | None = Field(default=None, pattern=r"^[A-Za-z0-9/_+=.@:-]{1,512}$")
    """The name or ARN of a secret in AWS Secrets Manager that has the ledger's URL, or the fields of one as RDS writes
    them (host, port, username, password, dbname). In place of `LAKE_LEDGER_URL`, so that no password is in a variable
    or an argument."""

    ledger_auth: Literal["password", "iam"] = "password"
    """How the ledger of `LAKE_LEDGER_URL` is signed in to: with the `password` of the URL, or with a token of AWS `iam`
    that is made anew for each connection. Tokens travel encrypted only, to a server whose certificate is checked."""

    ledger_ca: File | None = None
    """A file with the certificates that the ledger's is checked against (of RDS: `global-bundle.pem`). With it every
    connection is encrypted and checked (`sslmode=verify-full`)."""

    dagster_url: PostgresUrl | None = Field(default=None, repr=False)
    """The PostgreSQL of Dagster's own storage: runs, events, schedules. Keep it apart from the ledger."""

    engine: EngineName = "in_process"
    """Where conversion runs: `in_process`, in the tasks of `spark` (docs/spark.md), or in runs of an AWS `glue` job
    (docs/glue.md)."""

    spark_master: SparkMaster = "local[*]"
    """The Spark that converts with `LAKE_ENGINE=spark`: `local[*]` is the cores of this machine; or `yarn`,
    `spark://host:7077`."""

    date_field: FieldPath = _OPTIONS.date_field
    """The JSON field that holds the date of a record; a dotted path for a nested one (`meta.created_at`)."""

    mode_field: FieldPath = _OPTIONS.mode_field
    """The JSON field that holds the mode of a record; a dotted path for a nested one."""

    default_mode: Mode = _OPTIONS.default_mode
    """The mode of a record where neither the record nor its file's key tells one."""

    key_pattern: KeyPattern = _OPTIONS.key_pattern
    """A regular expression that finds date and mode in a key, by the named groups `date`, `mode`, `year`,
    `month`, `day`. It is searched repeatedly, so alternatives add up. What the record says goes first."""

    contract_file: File | None = None
    """A TOML file with rules for the contract: policies, types, names, what to leave out. See docs/contract.md."""

    first_date: date = _OPTIONS.first_date
    """Records of an earlier day are quarantined."""

    last_date: date | None = None
    """Records of a later day are quarantined."""

    max_bad_share: float = Field(default=_OPTIONS.max_bad_share, ge=0, le=1, allow_inf_nan=False)
    """The tolerated share of broken records in a file, 0 to 1. A file above it is not published at all."""

    quarantine_warning: float = Field(default=0.01, ge=0, le=1, allow_inf_nan=False)
    """The share of a partition's records that may be quarantined before its check in Dagster warns, 0 to 1."""

    usual_share: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    """The share of the rows that the same weekday usually has, below which the completeness of a partition warns in
    Dagster, 0 to 1. With 0 it never does for that."""

    fresh_hours: float = Field(default=24.0, gt=0, le=8_760, allow_inf_nan=False)
    """How long a file may wait, in hours, before the check of its partition in Dagster warns."""

    time_zone: TimeZone = _OPTIONS.time_zone
    """The zone in which a day is a day, by its IANA name (`Europe/Berlin`). A date without an offset is in it."""

    truncated: Truncated = _OPTIONS.truncated
    """What becomes of a compressed file that ends early: `refuse` it, or `keep` the records before the cut."""

    max_record_bytes: Size = Field(default=_OPTIONS.max_record_bytes, ge=1 << 10, le=1 << 30)
    """The longest record. A file with a longer one is not published. Memory grows with this: by ten times for most
    records, by sixty times for one that is a list of tiny objects."""

    batch_files: int = Field(default=1000, ge=1, le=100_000)
    """The most files one batch takes."""

    batch_bytes: Size = Field(default=2_000_000_000, ge=1)
    """The most raw bytes one batch takes, as stored; `500MB`, `2GB` and `1GiB` are understood."""

    part_bytes: Size = Field(default=_OPTIONS.part_bytes, ge=1 << 16)
    """The size, in memory, at which a Parquet file is closed and the next one begun."""

    memory_bytes: Size = Field(default=_OPTIONS.memory_bytes, ge=1 << 20)
    """The bound on rows that wait in memory to be written, over all open Parquet files."""

    workers: int = Field(default_factory=available_cores, ge=1, le=1024)
    """Threads that convert."""

    rewrite_bytes: Size = Field(default=1 << 30, ge=0)
    """The most published bytes that a batch rewrites because fractions came to a column of integers. Above it the
    fractions are kept in `_rescued`, and `lake status` asks for `lake contract widen`."""

    lease_seconds: int = Field(default=600, ge=1, le=86_400)
    """How long a claim holds without being renewed. A live worker renews it three times in that time."""

    max_attempts: int = Field(default=5, ge=1, le=100)
    """How often a file is tried before it is quarantined."""

    new_version: NewVersion = NewVersion.REPLACE
    """What becomes of a file whose key comes again with other content: `replace` takes the rows of the older version
    out and puts the new ones in, in one publish; `append` keeps both; `ignore` keeps the one that was published first.
    """

    sensor_seconds: int = Field(default=300, ge=1, le=86_400)
    """How often the Dagster sensor looks for pending files."""

    listing_cron: Cron = "0 6 * * 1"
    """When Dagster lists the landing zones, in UTC: minute, hour, day, month, weekday."""

    max_runs: int = Field(default=2, ge=1, le=1000)
    """The most conversion runs at a time in Dagster, and the most that the sensor requests ahead."""

    upkeep_cron: Cron = "17 * * * *"
    """When Dagster takes back the files of lost workers, archives what is left over and sweeps, in UTC."""

    fsck_cron: Cron = "0 2 * * *"
    """When Dagster compares the store with the ledger, and looks again at the checks of partitions, in UTC."""

    owner: Owner = "team:lake"
    """Who answers for the data, as Dagster shows it with each asset: an e-mail address or `team:name`."""

    alerts: AlertTarget | None = Field(default=None, repr=False)
    """Where failed runs and other troubles of Dagster are told, beside the log: the ARN of an SNS topic, or the URL of
    a webhook that takes `{"text": …}`, as Slack's do."""

    ui_url: HttpUrl | None = None
    """The address of the Dagster UI, for links in alerts."""

    @property
    def directory(self) -> Path:
        """`root` for what needs a directory: the demo. Raises `SettingsError` where the lake is on S3."""
        if isinstance(self.root, S3Root):
            raise SettingsError(f"{PREFIX}ROOT", f"the demo needs a directory, and the lake is {self.root}; unset it")
        return self.root

    @property
    def ledger_is_embedded(self) -> bool:
        """Whether the ledger is the PostgreSQL that comes along."""
        return self.ledger_url is None and self.ledger_secret is None

    @model_validator(mode="after")
    def _one_ledger(self) -> Self:
        if self.ledger_url is not None and self.ledger_secret is not None:
            raise SettingsError(f"{PREFIX}LEDGER_SECRET", f"{PREFIX}LEDGER_URL is set too; unset one of them")
        return self

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.last_date is not None and self.last_date < self.first_date:
            raise SettingsError(
                f"{PREFIX}LAST_DATE", f"{self.last_date} lies before {PREFIX}FIRST_DATE, {self.first_date}"
            )
        return self


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment, with `overrides` by field name going first.

    Raises `SettingsError` for the first wrong value, and for a variable that is one of ours misspelled.
    """
    _refuse_misspelled()
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic, like the environment
    except ValidationError as error:
        raise _explain(error) from None


def _refuse_misspelled() -> None:
    """A typo would silently leave the default in force, e.g. send every record to quarantine.

    Variables that resemble none of ours are somebody else's and are left alone.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and (close := get_close_matches(name, known, 1, 0.85)):
            raise SettingsError(name, f"there is no such setting; did you mean {close[0]}?")


def _explain(error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    reason: Any = first.get("ctx", {}).get("error")
    if isinstance(reason, ValueError):
        problem = str(reason)
    elif name in ("ledger_url", "dagster_url"):
        problem = "not a PostgreSQL URL"
    elif first["type"] == "extra_forbidden":
        problem = "there is no such setting"
    else:
        problem = f"{first['input']!r} can't be used: {first['msg'][0].lower()}{first['msg'][1:]}"
    return SettingsError(PREFIX + name.upper(), problem)
