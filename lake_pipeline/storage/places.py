"""Places: where a store is, as a value that travels to other processes, in JSON too, and never holds a secret.

Nothing here opens anything; `lake_pipeline.storage.opening` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lake_pipeline.aws.access import AwsAccess


@dataclass(frozen=True, kw_only=True)
class DirectoryPlace:
    """A directory on this machine, or on a file system that every worker sees under the same path."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, kw_only=True)
class S3Place:
    """The keys of `bucket` that begin with `prefix`, which is empty or ends in `/`."""

    bucket: str
    prefix: str = ""
    access: AwsAccess = field(default_factory=AwsAccess)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


Place = DirectoryPlace | S3Place


def place_at(root: str, access: AwsAccess) -> Place:
    """Where `root` is: `s3://bucket/prefix`, or a directory. Raises ValueError where it names no bucket."""
    scheme, separator, rest = root.partition("://")
    if not separator:
        return DirectoryPlace(path=root)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{root!r} is no place; write s3://bucket/prefix, or a directory")
    return S3Place(bucket=bucket, prefix=f"{prefix.strip('/')}/" if prefix.strip("/") else "", access=access)


def place_to_json(place: Place) -> dict[str, Any]:
    """A JSON object that `place_from_json` reads back."""
    return {"kind": "s3" if isinstance(place, S3Place) else "directory", **asdict(place)}


def place_from_json(data: Mapping[str, Any]) -> Place:
    """The inverse of `place_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    fields = {name: value for name, value in data.items() if name != "kind"}
    match data["kind"]:
        case "directory":
            return DirectoryPlace(**fields)
        case "s3":
            return S3Place(**{**fields, "access": AwsAccess(**fields["access"])})
        case other:
            raise ValueError(f"{other!r} is no kind of place")
