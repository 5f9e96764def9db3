"""The bucket and its configuration. Rules and notifications of others are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.calls import call, call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.provision.queue import EventQueue
from lake_pipeline.storage import zones
from lake_pipeline.storage.location import S3Location

UPLOAD_DAYS = 7
"""Days after which an incomplete upload is aborted. A batch is published, rolled forward or abandoned within hours."""

RUN_DAYS = 30
"""Days after which requests to Glue runs and their reports are deleted: far longer than a conversion takes."""

NONCURRENT_DAYS = 30
"""Days that an older version of an object is kept in a versioned bucket."""

OWN_IDS = "lake-"
"""Prefix of the ids of the rules made here; all other rules belong to others."""

_NO_BUCKET = ("NoSuchBucket", "404")


@dataclass(frozen=True)
class _BucketResource:
    """A resource of one bucket."""

    location: S3Location

    @cached_property
    def _client(self) -> Any:
        return make_client("s3", self.location.access)

    @property
    def _uri(self) -> str:
        return f"s3://{self.location.bucket}"

    def _describe(self, what: str, operation: str, *absent: str) -> dict[str, Any] | None:
        call = getattr(self._client, operation)
        return call_or_none(
            self._uri, f"read the {what}", call, absent=(*_NO_BUCKET, *absent), Bucket=self.location.bucket
        )

    def _update(self, what: str, operation: str, **arguments: Any) -> None:
        call(self._uri, f"set the {what}", getattr(self._client, operation), Bucket=self.location.bucket, **arguments)


class Bucket(_BucketResource):
    """The bucket, in the region of the settings."""

    @property
    def name(self) -> str:
        return f"bucket {self._uri}"

    def read(self) -> Any:
        return None if self._describe("bucket", "head_bucket") is None else {"Bucket": self.location.bucket}

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"Bucket": self.location.bucket}

    def apply(self, desired: Any) -> None:  # noqa: ARG002
        region = self._client.meta.region_name
        # S3 rejects us-east-1 as a location constraint.
        constraint = {} if region in (None, "us-east-1") else {"LocationConstraint": region}
        arguments = {"CreateBucketConfiguration": constraint} if constraint else {}
        self._update("bucket", "create_bucket", **arguments)


class Encryption(_BucketResource):
    """Encryption with keys of S3 (SSE-S3): the ledger relies on the ETags that it gives."""

    @property
    def name(self) -> str:
        return f"encryption of {self._uri}"

    def read(self) -> Any:
        current = self._describe(
            "encryption", "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"
        )
        if current is None:
            return None
        rule = current["ServerSideEncryptionConfiguration"]["Rules"][0]
        return {"SSEAlgorithm": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]}

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"SSEAlgorithm": "AES256"}

    def apply(self, desired: Any) -> None:
        rules = [{"ApplyServerSideEncryptionByDefault": desired}]
        self._update("encryption", "put_bucket_encryption", ServerSideEncryptionConfiguration={"Rules": rules})


class PublicAccess(_BucketResource):
    """Blocks public access through ACLs and bucket policies."""

    @property
    def name(self) -> str:
        return f"public access block of {self._uri}"

    def read(self) -> Any:
        current = self._describe(
            "public access block", "get_public_access_block", "NoSuchPublicAccessBlockConfiguration"
        )
        return current and current["PublicAccessBlockConfiguration"]

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        )

    def apply(self, desired: Any) -> None:
        self._update("public access block", "put_public_access_block", PublicAccessBlockConfiguration=desired)


class Versioning(_BucketResource):
    """Versioning, if chosen in the settings. It is never switched off."""

    @property
    def name(self) -> str:
        return f"versioning of {self._uri}"

    def read(self) -> Any:
        current = self._describe("versioning", "get_bucket_versioning")
        return current and {"Status": current.get("Status", "Never enabled")}

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"Status": "Enabled"}

    def apply(self, desired: Any) -> None:
        self._update("versioning", "put_bucket_versioning", VersioningConfiguration=desired)


@dataclass(frozen=True)
class Lifecycle(_BucketResource):
    """Tiering and expiry of objects. Without `quarantine_days` the quarantine is kept forever."""

    tier_days: int
    quarantine_days: int | None
    versioning: bool

    @property
    def name(self) -> str:
        return f"lifecycle of {self._uri}"

    def read(self) -> Any:
        current = self._describe("lifecycle", "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")
        return None if current is None else sorted((_plain(rule) for rule in current["Rules"]), key=_id)

    def desired(self, current: Any) -> Any:
        others = [rule for rule in current or () if not _id(rule).startswith(self._own_ids)]
        return sorted([*others, *self._rules()], key=_id)

    def apply(self, desired: Any) -> None:
        self._update("lifecycle", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": desired})

    @property
    def _own_ids(self) -> str:
        """Includes the lake's prefix, because several lakes may share a bucket."""
        return f"{OWN_IDS}{self.location.prefix}"

    def _rules(self) -> list[dict[str, Any]]:
        rules = [
            self._rule(
                "archive-tiering",
                zones.ARCHIVE,
                # S3 does not move objects below 128 KB.
                Transitions=[{"Days": self.tier_days, "StorageClass": "INTELLIGENT_TIERING"}],
            ),
            self._rule("glue-runs", zones.RUNS, Expiration={"Days": RUN_DAYS}),
            self._rule("incomplete-uploads", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": UPLOAD_DAYS}),
        ]
        if self.quarantine_days is not None:
            rules.append(self._rule("quarantine-expiry", zones.QUARANTINE, Expiration={"Days": self.quarantine_days}))
        if self.versioning:
            # Replaced Parquet files, and delete markers whose versions have all expired.
            rules.append(
                self._rule(
                    "older-versions",
                    "",
                    NoncurrentVersionExpiration={"NoncurrentDays": NONCURRENT_DAYS},
                    Expiration={"ExpiredObjectDeleteMarker": True},
                )
            )
        return rules

    def _rule(self, name: str, zone: str, **action: Any) -> dict[str, Any]:
        prefix = f"{self.location.prefix}{zone}"
        return {"ID": f"{self._own_ids}{name}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **action}


@dataclass(frozen=True)
class Notification(_BucketResource):
    """Notifications of the bucket to the event queue about new and restored objects."""

    queue: EventQueue

    @property
    def name(self) -> str:
        return f"notifications of {self._uri}"

    def read(self) -> Any:
        current = self._describe("notifications", "get_bucket_notification_configuration")
        if current is None:
            return None
        return {name: value for name, value in current.items() if name != "ResponseMetadata"}

    def desired(self, current: Any) -> Any:
        configurations = (current or {}).get("QueueConfigurations", ())
        others = [entry for entry in configurations if entry.get("Id") != self._own_id]
        prefix = {"Name": "prefix", "Value": self.location.prefix}
        own = {
            "Id": self._own_id,
            "QueueArn": self.queue.arn,
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRestore:Completed"],
            **({"Filter": {"Key": {"FilterRules": [prefix]}}} if self.location.prefix else {}),
        }
        existing = [entry for entry in configurations if entry.get("Id") == self._own_id]
        # S3 returns the name of a filter rule as "prefix" or "Prefix".
        if existing and _folded(existing[0]) == _folded(own):
            return current
        return {**(current or {}), "QueueConfigurations": [*others, own]}

    def apply(self, desired: Any) -> None:
        self._update("notifications", "put_bucket_notification_configuration", NotificationConfiguration=desired)

    @property
    def _own_id(self) -> str:
        return f"{OWN_IDS}{self.location.prefix}arrivals"


def _id(rule: dict[str, Any]) -> str:
    return str(rule.get("ID", ""))


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule without what S3 adds: empty actions, and filters in the old form."""
    return {name: value for name, value in rule.items() if value not in (None, [], {})}


def _folded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _folded(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((_folded(item) for item in value), key=str)
    return value.lower() if isinstance(value, str) and value in ("prefix", "Prefix") else value
