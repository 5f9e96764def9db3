"""Notifications: publish a text to an SNS topic."""

from __future__ import annotations

from lake_pipeline.aws.calls import call
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.escaping.lines import one_line

MAX_SUBJECT = 100
"""Longest subject that SNS accepts, in characters. It also rejects line breaks, and characters beyond ASCII."""


def publish(topic_arn: str, *, subject: str, text: str, timeout_seconds: float) -> None:
    """Send `text` to the topic. Raises `StorageUnavailable` or another error of `translate_errors`."""
    region = topic_arn.split(":")[3]
    client = make_client("sns", AwsAccess(region=region, timeout_seconds=timeout_seconds), attempts=2)
    line = one_line(" ".join(subject.split())).encode("ascii", "backslashreplace").decode()[:MAX_SUBJECT]
    call(topic_arn, "publish a notification", client.publish, TopicArn=topic_arn, Subject=line, Message=text)
