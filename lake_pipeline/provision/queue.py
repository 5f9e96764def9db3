"""The event queue, which receives the bucket's notifications, and its dead-letter queue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.calls import call, call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.storage.location import S3Location

RETENTION_SECONDS = 14 * 86_400
"""The maximum of SQS: a lake that is stopped for a week loses no message."""

VISIBILITY_SECONDS = 120
"""Longer than registering a batch of messages takes."""

MAX_DELIVERIES = 5
"""After so many deliveries, a message moves to the dead-letter queue."""

_ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue")


@dataclass(frozen=True)
class _Queue:
    location: S3Location
    suffix: str

    @property
    def queue_name(self) -> str:
        """At most 80 letters, digits, `-` and `_`, as SQS requires."""
        lake = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{self.location.bucket}-{self.location.prefix}")
        return lake[:60].strip("-") + self.suffix

    @property
    def name(self) -> str:
        return f"queue {self.queue_name}"

    @cached_property
    def client(self) -> Any:
        return make_client("sqs", AwsAccess(region=self.location.access.region))

    @property
    def url(self) -> str | None:
        """The URL; None where the queue is not there."""
        current = call_or_none(
            self.queue_name, "find the queue", self.client.get_queue_url, absent=_ABSENT, QueueName=self.queue_name
        )
        return None if current is None else str(current["QueueUrl"])

    @property
    def arn(self) -> str:
        """The ARN; before the queue is there, words for it."""
        url = self.url
        return f"(the ARN of {self.queue_name})" if url is None else self.attributes(url)["QueueArn"]

    def attributes(self, url: str) -> dict[str, str]:
        """Every attribute, as text."""
        current = call(
            self.queue_name,
            "read the queue",
            self.client.get_queue_attributes,
            QueueUrl=url,
            AttributeNames=["All"],
        )
        return dict(current["Attributes"])

    def read(self) -> Any:
        url = self.url
        if url is None:
            return None
        attributes = self.attributes(url)
        return {name: _parsed(attributes.get(name)) for name in self.desired(None)}

    def desired(self, current: Any) -> Any:
        raise NotImplementedError

    def apply(self, desired: Any) -> None:
        attributes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in desired.items()}
        url = self.url
        if url is None:
            call(
                self.queue_name,
                "create the queue",
                self.client.create_queue,
                QueueName=self.queue_name,
                Attributes=attributes,
            )
        else:
            call(
                self.queue_name,
                "configure the queue",
                self.client.set_queue_attributes,
                QueueUrl=url,
                Attributes=attributes,
            )


@dataclass(frozen=True)
class DeadLetterQueue(_Queue):
    """The dead-letter queue: messages that were delivered `MAX_DELIVERIES` times and never understood."""

    suffix: str = "-lake-refused"

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}


@dataclass(frozen=True)
class EventQueue(_Queue):
    """Notifications about landed objects. Only this bucket may send to it."""

    suffix: str = "-lake-events"

    @property
    def dead_letter_queue(self) -> DeadLetterQueue:
        """The dead-letter queue of this queue."""
        return DeadLetterQueue(self.location)

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "SqsManagedSseEnabled": "true",
            "RedrivePolicy": {"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": MAX_DELIVERIES},
            "Policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "AllowBucketNotifications",
                        "Effect": "Allow",
                        "Principal": {"Service": "s3.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": "*",
                        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{self.location.bucket}"}},
                    }
                ],
            },
        }


def _parsed(value: str | None) -> Any:
    """The value of an attribute. Policies are parsed, because their whitespace does not matter."""
    return json.loads(value) if value is not None and value.startswith("{") else value
