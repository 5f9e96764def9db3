"""The bucket: that it is there, and how it is set up. Rules and notifications of others stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.asking import ask, tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.provision.queue import EventQueue
from lake_pipeline.storage import zones
from lake_pipeline.storage.places import S3Place

UPLOAD_DAYS = 7
"""Days after which an incomplete upload is aborted. No batch is published that late: it is rolled forward, or given up,
within hours."""

RUN_DAYS = 30
"""Days after which what Glue runs were asked, and their reports, are deleted: far longer than a batch is converted."""

NONCURRENT_DAYS = 30
"""Days that an older version of an object is kept in a versioned bucket."""

OURS = "lake-"
"""What the ids of our rules begin with; all other rules are somebody else's."""

_NO_BUCKET = ("NoSuchBucket", "404")


@dataclass(frozen=True)
class _OfBucket:
    """What the resources of one bucket have in common."""

    place: S3Place

    @cached_property
    def _client(self) -> Any:
        return make_client("s3", self.place.access)

    @property
    def _uri(self) -> str:
        return f"s3://{self.place.bucket}"

    def _ask(self, what: str, operation: str, *absent: str) -> dict[str, Any] | None:
        call = getattr(self._client, operation)
        return ask(self._uri, f"read the {what}", call, absent=(*_NO_BUCKET, *absent), Bucket=self.place.bucket)

    def _tell(self, what: str, operation: str, **arguments: Any) -> None:
        tell(self._uri, f"set the {what}", getattr(self._client, operation), Bucket=self.place.bucket, **arguments)


class BucketItself(_OfBucket):
    """The bucket, in the region of the settings."""

    @property
    def name(self) -> str:
        return f"bucket {self._uri}"

    def read(self) -> Any:
        return None if self._ask("bucket", "head_bucket") is None else {"Bucket": self.place.bucket}

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"Bucket": self.place.bucket}

    def apply(self, wanted: Any) -> None:  # noqa: ARG002
        region = self._client.meta.region_name
        # The one region that must not be named.
        place = {} if region in (None, "us-east-1") else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._tell("bucket", "create_bucket", **place)


class Encryption(_OfBucket):
    """S3's own keys: the ETags of published files stay what the ledger says."""

    @property
    def name(self) -> str:
        return f"encryption of {self._uri}"

    def read(self) -> Any:
        found = self._ask("encryption", "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError")
        if found is None:
            return None
        rule = found["ServerSideEncryptionConfiguration"]["Rules"][0]
        return {"SSEAlgorithm": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]}

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"SSEAlgorithm": "AES256"}

    def apply(self, wanted: Any) -> None:
        rules = [{"ApplyServerSideEncryptionByDefault": wanted}]
        self._tell("encryption", "put_bucket_encryption", ServerSideEncryptionConfiguration={"Rules": rules})


class PublicAccess(_OfBucket):
    """No object is ever public, whatever an ACL or a bucket policy says."""

    @property
    def name(self) -> str:
        return f"public access block of {self._uri}"

    def read(self) -> Any:
        found = self._ask("public access block", "get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
        return found and found["PublicAccessBlockConfiguration"]

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        )

    def apply(self, wanted: Any) -> None:
        self._tell("public access block", "put_public_access_block", PublicAccessBlockConfiguration=wanted)


class Versioning(_OfBucket):
    """Versioning, where it was chosen; it is never switched off."""

    @property
    def name(self) -> str:
        return f"versioning of {self._uri}"

    def read(self) -> Any:
        found = self._ask("versioning", "get_bucket_versioning")
        return found and {"Status": found.get("Status", "Never enabled")}

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"Status": "Enabled"}

    def apply(self, wanted: Any) -> None:
        self._tell("versioning", "put_bucket_versioning", VersioningConfiguration=wanted)


@dataclass(frozen=True)
class Lifecycle(_OfBucket):
    """What becomes of old objects. Days are None where that is not wanted."""

    tier_days: int
    quarantine_days: int | None
    versioning: bool

    @property
    def name(self) -> str:
        return f"lifecycle of {self._uri}"

    def read(self) -> Any:
        found = self._ask("lifecycle", "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration")
        return None if found is None else sorted((_plain(rule) for rule in found["Rules"]), key=_id)

    def wanted(self, found: Any) -> Any:
        others = [rule for rule in found or () if not _id(rule).startswith(self._ours)]
        return sorted([*others, *self._rules()], key=_id)

    def apply(self, wanted: Any) -> None:
        self._tell("lifecycle", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": wanted})

    @property
    def _ours(self) -> str:
        """Several lakes may share a bucket, each below its prefix."""
        return f"{OURS}{self.place.prefix}"

    def _rules(self) -> list[dict[str, Any]]:
        rules = [
            self._rule(
                "archive-tiering",
                zones.ARCHIVE,
                # Objects below 128 KB stay where they are: S3 does not tier them.
                Transitions=[{"Days": self.tier_days, "StorageClass": "INTELLIGENT_TIERING"}],
            ),
            self._rule("glue-runs", zones.RUNS, Expiration={"Days": RUN_DAYS}),
            self._rule("incomplete-uploads", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": UPLOAD_DAYS}),
        ]
        if self.quarantine_days is not None:
            rules.append(self._rule("quarantine-expiry", zones.QUARANTINE, Expiration={"Days": self.quarantine_days}))
        if self.versioning:
            # Replaced Parquet files; delete markers with nothing behind them go at the same time.
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
        prefix = f"{self.place.prefix}{zone}"
        return {"ID": f"{self._ours}{name}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **action}


@dataclass(frozen=True)
class Notification(_OfBucket):
    """The bucket tells the event queue what has landed."""

    queue: EventQueue

    @property
    def name(self) -> str:
        return f"notifications of {self._uri}"

    def read(self) -> Any:
        found = self._ask("notifications", "get_bucket_notification_configuration")
        if found is None:
            return None
        return {name: value for name, value in found.items() if name != "ResponseMetadata"}

    def wanted(self, found: Any) -> Any:
        others = [each for each in (found or {}).get("QueueConfigurations", ()) if each.get("Id") != self._own_id]
        prefix = {"Name": "prefix", "Value": self.place.prefix}
        mine = {
            "Id": self._own_id,
            "QueueArn": self.queue.arn,
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRestore:Completed"],
            **({"Filter": {"Key": {"FilterRules": [prefix]}}} if self.place.prefix else {}),
        }
        ours = [each for each in (found or {}).get("QueueConfigurations", ()) if each.get("Id") == self._own_id]
        # The name of a filter rule comes back as it likes: prefix, Prefix.
        if ours and _folded(ours[0]) == _folded(mine):
            return found
        return {**(found or {}), "QueueConfigurations": [*others, mine]}

    def apply(self, wanted: Any) -> None:
        self._tell("notifications", "put_bucket_notification_configuration", NotificationConfiguration=wanted)

    @property
    def _own_id(self) -> str:
        return f"{OURS}{self.place.prefix}arrivals"


def _id(rule: dict[str, Any]) -> str:
    return str(rule.get("ID", ""))


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    """Without what S3 adds by itself: empty actions, and where a filter is told in the old form."""
    return {name: value for name, value in rule.items() if value not in (None, [], {})}


def _folded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _folded(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((_folded(item) for item in value), key=str)
    return value.lower() if isinstance(value, str) and value in ("prefix", "Prefix") else value
