"""Notifications of S3 through an SQS queue: which objects have just landed.

They are a fast path, not a source of truth: SQS may deliver twice, late or in another order, and a listing finds what
never came. Straight from S3, by way of SNS, and from EventBridge are understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import translated
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.places import S3Place

MOST = 10
"""Messages that SQS gives and takes at once."""

ARRIVALS = ("ObjectCreated:", "ObjectRestore:Completed")
"""A restored object is told like a new one: it was registered as frozen before."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: the objects of this lake that it tells of, and the handle to delete it with.

    `understood` is False where the text is none of the known forms; such a message stays in the queue, whose redrive
    policy moves it aside.
    """

    handle: str
    arrived: tuple[ObjectInfo, ...]
    understood: bool = True


class EventQueue:
    """The queue at `url`, for the lake at `place`."""

    def __init__(self, url: str, place: S3Place) -> None:
        self._url = url
        self._place = place
        # The endpoint of a store is not that of its queue; the SDK finds the queue by its region.
        access = AwsAccess(region=place.access.region, timeout_seconds=max(place.access.timeout_seconds, 30.0))
        self._client = make_client("sqs", access)

    def receive(self, *, wait_seconds: int) -> list[Message]:
        """The next messages; waits up to `wait_seconds` (at most 20) for the first one."""
        with translated(self._url, "receive messages"):
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=MOST, WaitTimeSeconds=wait_seconds
            )
        return [_message(found, self._place) for found in answer.get("Messages", ())]

    def delete(self, messages: Iterable[Message]) -> None:
        """Take messages out of the queue. One that stays is delivered again, which is harmless."""
        entries = [{"Id": str(number), "ReceiptHandle": each.handle} for number, each in enumerate(messages)]
        for start in range(0, len(entries), MOST):
            with translated(self._url, "delete messages"):
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries[start : start + MOST])


def _message(found: dict[str, Any], place: S3Place) -> Message:
    handle = found["ReceiptHandle"]
    try:
        arrived = tuple(_arrivals(json.loads(found["Body"]), place))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Message(handle=handle, arrived=(), understood=False)
    return Message(handle=handle, arrived=arrived)


def _arrivals(body: dict[str, Any], place: S3Place) -> Iterator[ObjectInfo]:
    if body.get("Type") == "Notification":
        body = json.loads(body["Message"])
    if body.get("Event") == "s3:TestEvent":
        return
    if body.get("source") == "aws.s3":
        yield from _of_event_bridge(body, place)
        return
    for record in body["Records"]:
        if record["eventName"].removeprefix("s3:").startswith(ARRIVALS):
            told = record["s3"]["object"]
            # Here, unlike anywhere else, keys are escaped as in a query string.
            yield from _info(
                place, record["s3"]["bucket"]["name"], unquote_plus(told["key"]), told["eTag"], told["size"]
            )


def _of_event_bridge(body: dict[str, Any], place: S3Place) -> Iterator[ObjectInfo]:
    if body["detail-type"] in ("Object Created", "Object Restore Completed"):
        told = body["detail"]["object"]
        yield from _info(place, body["detail"]["bucket"]["name"], told["key"], told["etag"], told["size"])


def _info(place: S3Place, bucket: str, key: str, etag: str, size: int) -> Iterator[ObjectInfo]:
    if bucket == place.bucket and key.startswith(place.prefix):
        yield ObjectInfo(key=key.removeprefix(place.prefix), etag=etag.strip('"'), size=size)
