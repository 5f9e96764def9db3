"""How a record gets its partition, and which records and files are refused. Columns and types are in `contract`."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import Field, model_validator

from lake_pipeline.convert.request import ConversionOptions, Truncated
from lake_pipeline.errors import SettingsError
from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.value_types import (
    DateFormatList,
    DefaultDate,
    FieldPath,
    FieldPaths,
    KeyPattern,
    Mode,
    Size,
    TimeZone,
)

_OPTIONS = ConversionOptions()


class RecordSettings(SettingsGroup):
    """Records: date, mode and limits"""

    date_field: FieldPaths = _OPTIONS.date_field
    """The JSON field with a record's date; a dotted path for a nested field (`meta.created_at`). Several fields,
    separated by commas: the first with a value counts (`event_time, created_at`)."""

    date_formats: DateFormatList = _OPTIONS.date_formats
    """Formats of dates besides ISO 8601 and the unambiguous ones, separated by commas, or a list in JSON: `us`, `eu`,
    `compact_number`, or `%` directives (`%d %b %Y %H:%M`). They are tried first. All formats:
    [conversion.md](conversion.md#formats-of-dates)."""

    default_date: DefaultDate = _OPTIONS.default_date
    """The day of a record if neither the record nor the file's key has a date: `YYYY-MM-DD`, or `week` for the Monday
    of the folder `YYYY/weekXX/`. Without it, the record is quarantined."""

    mode_field: FieldPath = _OPTIONS.mode_field
    """The JSON field with a record's mode; a dotted path for a nested field."""

    default_mode: Mode = _OPTIONS.default_mode
    """The mode of a record if neither the record nor the file's key has one."""

    key_pattern: KeyPattern = _OPTIONS.key_pattern
    """A regular expression that finds date and mode in a key through the named groups `date`, `mode`, `year`,
    `month`, `day`. All matches count, so alternatives add up. Values in the record take precedence."""

    first_date: date = _OPTIONS.first_date
    """Records with an earlier day are quarantined."""

    last_date: date | None = None
    """Records with a later day are quarantined."""

    time_zone: TimeZone = _OPTIONS.time_zone
    """Time zone used to compute a record's day, as an IANA name (`Europe/Berlin`). Dates without an offset are read in
    it."""

    max_bad_share: float = Field(default=_OPTIONS.max_bad_share, ge=0, le=1, allow_inf_nan=False)
    """The tolerated ratio of malformed records in a file, 0 to 1. A file above it is not published at all."""

    truncated: Truncated = _OPTIONS.truncated
    """What to do with a compressed file that ends early: `refuse` it, or `keep` the records before the end."""

    max_record_bytes: Size = Field(default=_OPTIONS.max_record_bytes, ge=1 << 10, le=1 << 30)
    """The size limit of a record. A file with a larger one is not published. Memory grows with this limit: ten times
    its value for most records, sixty times for a list of tiny objects."""

    max_unpacked_ratio: int = Field(default=_OPTIONS.max_unpacked_ratio, ge=10)
    """The most bytes of text for each stored byte of a compressed file. A file above it is not published. The first
    64 MiB of text do not count. gzip can't exceed 1,032; logs with long repetitions reach a few hundred."""

    max_blank_bytes: Size = Field(default=_OPTIONS.max_blank_bytes, ge=1 << 20)
    """The most decompressed text without a record (blank lines, spaces). A file above it is not published."""

    zstd_window: Size = Field(default=_OPTIONS.zstd_window, ge=1 << 20, le=1 << 31)
    """The largest window of zstd data, up to 2 GiB: `zstd --long=31` needs that. Each worker may take so much memory
    in addition."""

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.last_date is not None and self.last_date < self.first_date:
            raise SettingsError(
                self.variable("last_date"),
                f"{self.last_date} is before {self.variable('first_date')}, {self.first_date}",
            )
        return self
