"""The event queue: where the bucket tells what has landed, and beside it the queue for what nobody understands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import ask, tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.storage.places import S3Place

RETENTION_SECONDS = 14 * 86_400
"""The longest that SQS offers: a lake that stood still for a week loses no message."""

VISIBILITY_SECONDS = 120
"""Longer than a batch of messages takes to be registered."""

DELIVERIES = 5
"""After so many a message is moved aside."""

_ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue")


@dataclass(frozen=True)
class _Queue:
    place: S3Place
    suffix: str

    @property
    def queue_name(self) -> str:
        """SQS takes 80 letters, digits, `-` and `_`."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", f"{self.place.bucket}-{self.place.prefix}")[:60].strip("-") + self.suffix

    @property
    def name(self) -> str:
        return f"queue {self.queue_name}"

    @cached_property
    def client(self) -> Any:
        return make_client("sqs", AwsAccess(region=self.place.access.region))

    @property
    def url(self) -> str | None:
        """The URL; None where the queue is not there."""
        found = ask(
            self.queue_name, "find the queue", self.client.get_queue_url, absent=_ABSENT, QueueName=self.queue_name
        )
        return None if found is None else str(found["QueueUrl"])

    @property
    def arn(self) -> str:
        """The ARN; before the queue is there, words for it."""
        url = self.url
        return f"(the ARN of {self.queue_name})" if url is None else self.attributes(url)["QueueArn"]

    def attributes(self, url: str) -> dict[str, str]:
        """Every attribute, as text."""
        found = tell(
            self.queue_name,
            "read the queue",
            self.client.get_queue_attributes,
            QueueUrl=url,
            AttributeNames=["All"],
        )
        return dict(found["Attributes"])

    def read(self) -> Any:
        url = self.url
        if url is None:
            return None
        attributes = self.attributes(url)
        return {name: _parsed(attributes.get(name)) for name in self.wanted(None)}

    def wanted(self, found: Any) -> Any:
        raise NotImplementedError

    def apply(self, wanted: Any) -> None:
        attributes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in wanted.items()}
        url = self.url
        if url is None:
            tell(
                self.queue_name,
                "make the queue",
                self.client.create_queue,
                QueueName=self.queue_name,
                Attributes=attributes,
            )
        else:
            tell(
                self.queue_name,
                "set up the queue",
                self.client.set_queue_attributes,
                QueueUrl=url,
                Attributes=attributes,
            )


@dataclass(frozen=True)
class RefusedQueue(_Queue):
    """What was delivered again and again and never understood."""

    suffix: str = "-lake-refused"

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}


@dataclass(frozen=True)
class EventQueue(_Queue):
    """What has landed. Only this bucket may send to it."""

    suffix: str = "-lake-events"

    @property
    def refused(self) -> RefusedQueue:
        """Where messages go that nobody understands."""
        return RefusedQueue(self.place)

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "SqsManagedSseEnabled": "true",
            "RedrivePolicy": {"deadLetterTargetArn": self.refused.arn, "maxReceiveCount": DELIVERIES},
            "Policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "BucketTellsArrivals",
                        "Effect": "Allow",
                        "Principal": {"Service": "s3.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": "*",
                        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{self.place.bucket}"}},
                    }
                ],
            },
        }


def _parsed(value: str | None) -> Any:
    """Policies are JSON inside of text; how that is spaced is no difference."""
    return json.loads(value) if value is not None and value.startswith("{") else value
