"""Locations: where a store is, as a value without secrets that can be sent to other processes, also as JSON.

Nothing here opens a store; `lake_pipeline.storage.factory` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lake_pipeline.aws.connection import AwsAccess


@dataclass(frozen=True, kw_only=True)
class DirectoryLocation:
    """A directory on this machine, or on a file system that every worker mounts at the same path.

    `follow_links`: a listing of the landing zones also lists the targets of links, if they are in the directory.
    """

    path: str
    follow_links: bool = False

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, kw_only=True)
class S3Location:
    """The keys of `bucket` that begin with `prefix`, which is empty or ends in `/`."""

    bucket: str
    prefix: str = ""
    access: AwsAccess = field(default_factory=AwsAccess)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


Location = DirectoryLocation | S3Location


def parse_location(root: str, access: AwsAccess) -> Location:
    """The location of `root`: `s3://bucket/prefix` or a directory. Raises ValueError for any other URL."""
    scheme, separator, rest = root.partition("://")
    if not separator:
        return DirectoryLocation(path=root)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{root!r} is not a valid location; use s3://bucket/prefix or a directory")
    return S3Location(bucket=bucket, prefix=f"{prefix.strip('/')}/" if prefix.strip("/") else "", access=access)


def location_to_json(location: Location) -> dict[str, Any]:
    """The location as a JSON object, for `location_from_json`."""
    return {"kind": "s3" if isinstance(location, S3Location) else "directory", **asdict(location)}


def location_from_json(data: Mapping[str, Any]) -> Location:
    """The inverse of `location_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    fields = {name: value for name, value in data.items() if name != "kind"}
    match data["kind"]:
        case "directory":
            return DirectoryLocation(**fields)
        case "s3":
            return S3Location(**{**fields, "access": AwsAccess(**fields["access"])})
        case other:
            raise ValueError(f"{other!r} is not a kind of location")
