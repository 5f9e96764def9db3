"""S3 event notifications from an SQS queue: objects that have just landed.

They are a fast path, not the source of truth: SQS may deliver twice, late or out of order, and a listing finds what was
never delivered. Understands notifications sent by S3 directly, through SNS, and by EventBridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from lake_pipeline.aws.calls import call
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.model.json_document import parse_document
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.storage.s3.bucket import announced_object

MAX_MESSAGES = 10
"""Messages per request to SQS."""

ARRIVALS = ("ObjectCreated:", "ObjectRestore:Completed")
"""A restored object counts as new: it was registered as unreadable before."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: the objects of this lake that it announces, and the handle to delete it with.

    `understood` is False if the body has none of the known forms. Such a message stays in the queue until the queue's
    redrive policy moves it to the dead-letter queue.
    """

    handle: str
    arrived: tuple[ObjectInfo, ...]
    understood: bool = True


class EventQueue:
    """The queue at `url`, for the lake at `location`."""

    def __init__(self, url: str, location: S3Location) -> None:
        self._url = url
        self._location = location
        # Without the endpoint of the store: the SDK finds the queue by its region.
        access = AwsAccess(region=location.access.region, timeout_seconds=max(location.access.timeout_seconds, 30.0))
        self._client = make_client("sqs", access)

    def receive(self, *, wait_seconds: int) -> list[Message]:
        """The next messages; waits up to `wait_seconds` (at most 20) for the first one."""
        answer = call(
            self._url,
            "receive messages",
            self._client.receive_message,
            QueueUrl=self._url,
            MaxNumberOfMessages=MAX_MESSAGES,
            WaitTimeSeconds=wait_seconds,
        )
        return [_parsed(message, self._location) for message in answer.get("Messages", ())]

    def delete(self, messages: Iterable[Message]) -> None:
        """Delete messages from the queue. One that stays is delivered again, which is harmless."""
        entries = [{"Id": str(number), "ReceiptHandle": message.handle} for number, message in enumerate(messages)]
        for start in range(0, len(entries), MAX_MESSAGES):
            page = entries[start : start + MAX_MESSAGES]
            call(self._url, "delete messages", self._client.delete_message_batch, QueueUrl=self._url, Entries=page)


def _parsed(message: dict[str, Any], location: S3Location) -> Message:
    handle = message["ReceiptHandle"]
    try:
        arrived = tuple(_arrivals(parse_document(message["Body"]), location))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Message(handle=handle, arrived=(), understood=False)
    return Message(handle=handle, arrived=arrived)


def _arrivals(body: dict[str, Any], location: S3Location) -> Iterator[ObjectInfo]:
    if body.get("Type") == "Notification":
        body = parse_document(body["Message"])
    if body.get("Event") == "s3:TestEvent":
        return
    if body.get("source") == "aws.s3":
        yield from _event_bridge_arrivals(body, location)
        return
    for record in body["Records"]:
        if record["eventName"].removeprefix("s3:").startswith(ARRIVALS):
            details = record["s3"]["object"]
            # S3 escapes keys as in a query string here; EventBridge does not.
            key = unquote_plus(details["key"], errors="surrogateescape")
            yield from _info(location, record["s3"]["bucket"]["name"], key, details["eTag"], details["size"])


def _event_bridge_arrivals(body: dict[str, Any], location: S3Location) -> Iterator[ObjectInfo]:
    if body["detail-type"] in ("Object Created", "Object Restore Completed"):
        details = body["detail"]["object"]
        yield from _info(location, body["detail"]["bucket"]["name"], details["key"], details["etag"], details["size"])


def _info(location: S3Location, bucket: str, key: str, etag: str, size: int) -> Iterator[ObjectInfo]:
    if bucket == location.bucket and key.startswith(location.prefix) and key != location.prefix:
        yield announced_object(key.removeprefix(location.prefix), etag, size)
