"""Types of settings: field paths, key patterns, sizes, URLs, schedules, locations.

Each type takes the text a user wrote and returns the value the code uses. A validator raises ValueError with the text
that follows the variable's name in the message. It never repeats a URL, which may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ByteSize, TypeAdapter, ValidationError
from pydantic_settings import NoDecode

from lake_pipeline.convert.partition.date_formats import date_formats
from lake_pipeline.model.partitions import MAX_MODE_BYTES, escape_mode

KEY_GROUPS = {"date", "mode", "year", "month", "day"}
"""The named groups that a key pattern may have."""

MAX_ROOT_PREFIX_BYTES = 100
"""Keys have at most 1,024 bytes. The rest is for the zones and for file names."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg2"}
_SEGMENT = re.compile(r"[^\s.\[\]*](?:[^.\[\]*\r\n\t]*[^\s.\[\]*])?")
_SIZE: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)
_OWNER = re.compile(r"team:\w[\w -]*|[^@\s]+@[^@\s]+\.[^@\s]+")
_ALERT_TARGET = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}|https?://[^\s/@]+/\S*")
_SECRET_NAME = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,512}")
_SPARK_MASTER = re.compile(r"local(\[(\*|\d+)(,\d+)?\])?|yarn|(spark|k8s)://\S+")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def _field_path(text: str) -> str:
    """`a.b.c`: names of nested fields, outermost first."""
    if text.startswith("$."):
        raise ValueError(f"{text!r} is JSONPath; use field names separated by dots: {text[2:]}")
    if not all(_SEGMENT.fullmatch(segment) for segment in text.split(".")):
        raise ValueError(
            f"{text!r} is not a valid field path; use field names separated by dots, "
            "for example published or meta.created_at (no lists, no wildcards)"
        )
    return text


def _field_paths(text: str) -> str:
    """One or more field paths, separated by commas."""
    return ", ".join(_field_path(field.strip()) for field in text.split(","))


def _date_format_list(text: str) -> str:
    date_formats(text)
    return text


def _default_date(text: str) -> str:
    if text in ("", "week"):
        return text
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"{text!r} is neither a day (YYYY-MM-DD) nor week") from None


def _key_pattern(text: str) -> str:
    try:
        groups = set(re.compile(text).groupindex)
    except re.error as error:
        raise ValueError(f"{text!r} is not a valid regular expression: {error}") from error
    allowed = ", ".join(sorted(KEY_GROUPS))
    if not groups:
        raise ValueError(f"{text!r} has no named group, so it finds nothing; use some of {allowed}: (?P<date>…)")
    if "week" in groups:
        raise ValueError(f"{text!r} has the group week; set LAKE_DEFAULT_DATE=week for the folder YYYY/weekXX/")
    if unknown := groups - KEY_GROUPS:
        raise ValueError(f"{text!r} has the unknown groups {', '.join(sorted(unknown))}; use {allowed}")
    return text


def _mode(text: str) -> str:
    if not text.strip() or len(escape_mode(text)) > MAX_MODE_BYTES:
        raise ValueError(f"{text!r} is not a valid mode; use 1 to {MAX_MODE_BYTES} characters, not only spaces")
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of zones, like Europe
        raise ValueError(f"{text!r} is not a time zone; use an IANA name, for example UTC or Europe/Berlin") from None
    return text


def _size(value: object) -> object:
    try:
        return int(_SIZE.validate_python(value))
    except ValidationError:
        raise ValueError(
            f"{value!r} is not a valid size; use bytes or a unit, for example 500MB, 2GB or 1GiB"
        ) from None


def _postgresql_url(text: str) -> str:
    """Always `postgresql+psycopg2://…`, so that SQLAlchemy never picks another driver."""
    scheme, separator, rest = text.partition("://")
    form = "expected postgresql://user:password@host:5432/database"
    if not separator or scheme.lower() not in _POSTGRESQL:
        raise ValueError(f"not a PostgreSQL URL; {form}")
    url = f"postgresql+psycopg2://{rest}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Neither quoted nor chained: the message of urllib may contain a part of the password.
        raise ValueError(f"invalid host or port in this URL; {form}") from None
    if "@" in parts.path or parts.netloc.count("@") > 1:
        # Otherwise a part of the password would become the name of the host or of the database, which are shown.
        raise ValueError(f"a @ or / in user or password must be written as %40 or %2F; {form}")
    if not parts.path.strip("/"):
        raise ValueError(f"this URL has no database name; {form}")
    return url


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != 5 or not all(
        _cron_field(field, low, high) for field, (low, high) in zip(fields, _CRON_RANGES, strict=True)
    ):
        raise ValueError(
            f"{text!r} is not a valid schedule; use minute hour day month weekday in numbers, for example 0 6 * * 1"
        )
    return " ".join(fields)


def _cron_field(field: str, low: int, high: int) -> bool:
    for part in field.split(","):
        match = _CRON_PART.fullmatch(part)
        if not match or match[4] == "0":
            return False
        numbers = [int(number) for number in match.group(2, 3) if number]
        if any(not low <= number <= high for number in numbers) or any(a > b for a, b in pairwise(numbers)):
            return False
    return True


def _folder(value: str | Path) -> Path:
    """An absolute path: a Dagster run may have another working directory than the command that started it.

    A URL is refused: as a path it would lose a slash, and with it the form by which its password is masked.
    """
    if "://" in str(value):
        raise ValueError("this is a URL; use a path on this machine")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{str(value)!r}: {error}") from error


@dataclass(frozen=True)
class S3Root:
    """`s3://bucket/prefix`. The prefix is empty or ends in `/`."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def _root(value: object) -> object:
    if isinstance(value, S3Root | Path):
        return value if isinstance(value, S3Root) else _folder(value)
    text = str(value)
    if text.lower().startswith("s3://"):
        return _s3_root(text)
    if "://" in text or text.lower().startswith("s3:"):
        raise ValueError(f"{text!r} is not a valid location; use a directory or s3://bucket/prefix")
    return _folder(text)


def _s3_root(text: str) -> S3Root:
    bucket, _, prefix = text[len("s3://") :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{text!r} has no valid bucket name; use s3://bucket or s3://bucket/prefix")
    prefix = prefix.strip("/")
    if len(prefix.encode()) > MAX_ROOT_PREFIX_BYTES or {".", ".."} & set(prefix.split("/")) or "//" in prefix:
        raise ValueError(
            f"{text!r}: the prefix must have at most {MAX_ROOT_PREFIX_BYTES} bytes, without empty segments, . or .."
        )
    return S3Root(bucket, f"{prefix}/" if prefix else "")


class GlobList(tuple[str, ...]):
    """Globs that are written as they are read, also in the environment of a child process."""

    def __str__(self) -> str:
        return ", ".join(self) or "none"


def _globs(value: object) -> object:
    if not isinstance(value, str):
        return value
    patterns = [pattern.strip() for pattern in value.split(",")]
    if patterns in (["none"], [""]):
        return ()
    if "" in patterns or any(pattern.startswith("/") for pattern in patterns):
        raise ValueError(f"{value!r} is not a list of patterns; use for example *.json, *.json.gz, 2026/week*/orders/*")
    return patterns


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("not a valid URL; use http://host:port or https://host, without user, ? and #")
    return text.rstrip("/")


def _engine(text: str) -> str:
    if text not in ("in_process", "spark", "glue"):
        raise ValueError(f"{text!r} is not an engine; use in_process, spark or glue")
    return text


def _spark_master(text: str) -> str:
    if not _SPARK_MASTER.fullmatch(text):
        raise ValueError(f"{text!r} is not a Spark master; use local[*], local[4], yarn or spark://host:7077")
    return text


def _owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        raise ValueError(f"{text!r} is not a valid owner; use an e-mail address or team:name")
    return text


def _secret_name(text: str) -> str:
    if not _SECRET_NAME.fullmatch(text) or "://" in text:
        raise ValueError("not the name or ARN of a secret; a URL belongs in LAKE_LEDGER_URL")
    return text


def _alert_target(text: str) -> str:
    if not _ALERT_TARGET.fullmatch(text) or not text.isascii() or not text.isprintable():
        raise ValueError("neither the ARN of an SNS topic (arn:aws:sns:REGION:ACCOUNT:TOPIC) nor the URL of a webhook")
    return text


FieldPath = Annotated[str, AfterValidator(_field_path)]
FieldPaths = Annotated[str, AfterValidator(_field_paths)]
DateFormatList = Annotated[str, AfterValidator(_date_format_list)]
DefaultDate = Annotated[str, AfterValidator(_default_date)]
KeyPattern = Annotated[str, AfterValidator(_key_pattern)]
Mode = Annotated[str, AfterValidator(_mode)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Size = Annotated[int, BeforeValidator(_size)]
PostgresUrl = Annotated[str, AfterValidator(_postgresql_url)]
Cron = Annotated[str, AfterValidator(_cron)]
Folder = Annotated[Path, BeforeValidator(_folder)]
File = Annotated[Path, BeforeValidator(_folder)]
Root = Annotated[Path | S3Root, BeforeValidator(_root)]
Globs = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_globs), AfterValidator(GlobList)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
EngineName = Annotated[str, AfterValidator(_engine)]
SparkMaster = Annotated[str, AfterValidator(_spark_master)]
Owner = Annotated[str, AfterValidator(_owner)]
SecretName = Annotated[str, AfterValidator(_secret_name)]
AlertTarget = Annotated[str, AfterValidator(_alert_target)]
