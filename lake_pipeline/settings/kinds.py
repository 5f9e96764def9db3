"""The kinds of value a setting can have: field paths, key patterns, sizes, URLs, schedules, places.

Each kind is a type that takes what a person wrote and gives what the code uses. A validator raises ValueError
with what follows the variable's name in the message; it never repeats a URL, which may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ByteSize, TypeAdapter, ValidationError

from lake_pipeline.model.partitions import MAX_MODE_BYTES, escape_mode

KEY_GROUPS = {"date", "mode", "year", "month", "day"}
"""The named groups a key pattern may have."""

MAX_ROOT_PREFIX_BYTES = 100
"""A key has 1,024 bytes in all. What is left is for the zones and for the names that senders choose."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg2"}
_SEGMENT = re.compile(r"[^\s.\[\]*](?:[^.\[\]*\r\n\t]*[^\s.\[\]*])?")
_SIZE: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)
_OWNER = re.compile(r"team:\w[\w -]*|[^@\s]+@[^@\s]+\.[^@\s]+")
_ALERT_TARGET = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}|https?://[^\s/@]+/\S*")
_SPARK_MASTER = re.compile(r"local(\[(\*|\d+)(,\d+)?\])?|yarn|(spark|k8s)://\S+")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def _field_path(text: str) -> str:
    """`a.b.c`: names of nested objects, outermost first."""
    if text.startswith("$."):
        raise ValueError(f"{text!r} is JSONPath; write the names with dots between: {text[2:]}")
    if not all(_SEGMENT.fullmatch(segment) for segment in text.split(".")):
        raise ValueError(
            f"{text!r} is no field path; write the names of the nested objects with one dot between, "
            "like published or meta.created_at (no lists, no wildcards)"
        )
    return text


def _key_pattern(text: str) -> str:
    try:
        groups = set(re.compile(text).groupindex)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    wanted = ", ".join(sorted(KEY_GROUPS))
    if not groups:
        raise ValueError(f"{text!r} has no named group, so it finds nothing; name some of {wanted}: (?P<date>…)")
    if unknown := groups - KEY_GROUPS:
        raise ValueError(f"{text!r} names {', '.join(sorted(unknown))}; the groups that mean something are {wanted}")
    return text


def _mode(text: str) -> str:
    if not text.strip() or len(escape_mode(text)) > MAX_MODE_BYTES:
        raise ValueError(f"{text!r} is no mode; write 1 to {MAX_MODE_BYTES} characters, not only spaces")
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # an OSError is a folder of zones, like Europe
        raise ValueError(f"{text!r} is no time zone; write an IANA name like UTC or Europe/Berlin") from None
    return text


def _size(value: object) -> object:
    try:
        return int(_SIZE.validate_python(value))
    except ValidationError:
        raise ValueError(f"{value!r} is no size; write bytes or a unit: 500MB, 2GB, 1GiB") from None


def _postgresql_url(text: str) -> str:
    """`postgresql+psycopg2://…` whatever the spelling, so that SQLAlchemy never picks another driver."""
    scheme, separator, rest = text.partition("://")
    form = "expected postgresql://user:password@host:5432/database"
    if not separator or scheme.lower() not in _POSTGRESQL:
        raise ValueError(f"not a PostgreSQL URL; {form}")
    url = f"postgresql+psycopg2://{rest}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Neither quoted nor chained: what urllib says may hold a piece of the password.
        raise ValueError(f"the host or port of this URL can't be read; {form}") from None
    if not parts.path.strip("/"):
        raise ValueError(f"this URL names no database; {form}")
    return url


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != 5 or not all(
        _cron_field(field, low, high) for field, (low, high) in zip(fields, _CRON_RANGES, strict=True)
    ):
        raise ValueError(f"{text!r} is no schedule; write minute hour day month weekday in numbers, like 0 6 * * 1")
    return " ".join(fields)


def _cron_field(field: str, low: int, high: int) -> bool:
    for part in field.split(","):
        found = _CRON_PART.fullmatch(part)
        if not found or found[4] == "0":
            return False
        numbers = [int(number) for number in found.group(2, 3) if number]
        if any(not low <= number <= high for number in numbers) or any(a > b for a, b in pairwise(numbers)):
            return False
    return True


def _folder(value: str | Path) -> Path:
    """An absolute path: a Dagster run may work in another folder than the command that asked for it."""
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{str(value)!r}: {error}") from error


@dataclass(frozen=True)
class S3Root:
    """`s3://bucket/prefix`, with the prefix as the store takes it: empty, or ending in `/`."""

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
        raise ValueError(f"{text!r} is no place for a lake; write a directory or s3://bucket/prefix")
    return _folder(text)


def _s3_root(text: str) -> S3Root:
    bucket, _, prefix = text[len("s3://") :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{text!r} names no bucket; write s3://bucket or s3://bucket/prefix")
    prefix = prefix.strip("/")
    if len(prefix.encode()) > MAX_ROOT_PREFIX_BYTES or {".", ".."} & set(prefix.split("/")) or "//" in prefix:
        raise ValueError(
            f"{text!r}: the prefix must be {MAX_ROOT_PREFIX_BYTES} bytes at most, without empty parts or dots alone"
        )
    return S3Root(bucket, f"{prefix}/" if prefix else "")


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or parts.query:
        raise ValueError("not the address of a store; write http://host:port or https://host")
    return text.rstrip("/")


def _engine(text: str) -> str:
    if text not in ("in_process", "spark", "glue"):
        raise ValueError(f"{text!r} is no engine; use in_process, spark or glue")
    return text


def _spark_master(text: str) -> str:
    if not _SPARK_MASTER.fullmatch(text):
        raise ValueError(f"{text!r} is no master of Spark; write local[*], local[4], yarn or spark://host:7077")
    return text


def _owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        raise ValueError(f"{text!r} is no owner; write an e-mail address or team:name")
    return text


def _alert_target(text: str) -> str:
    if not _ALERT_TARGET.fullmatch(text):
        raise ValueError("not the ARN of an SNS topic (arn:aws:sns:REGION:ACCOUNT:TOPIC), nor the URL of a webhook")
    return text


FieldPath = Annotated[str, AfterValidator(_field_path)]
KeyPattern = Annotated[str, AfterValidator(_key_pattern)]
Mode = Annotated[str, AfterValidator(_mode)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Size = Annotated[int, BeforeValidator(_size)]
PostgresUrl = Annotated[str, AfterValidator(_postgresql_url)]
Cron = Annotated[str, AfterValidator(_cron)]
Folder = Annotated[Path, BeforeValidator(_folder)]
File = Annotated[Path, BeforeValidator(_folder)]
Root = Annotated[Path | S3Root, BeforeValidator(_root)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
EngineName = Annotated[str, AfterValidator(_engine)]
SparkMaster = Annotated[str, AfterValidator(_spark_master)]
Owner = Annotated[str, AfterValidator(_owner)]
AlertTarget = Annotated[str, AfterValidator(_alert_target)]
