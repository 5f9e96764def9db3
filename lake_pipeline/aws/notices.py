"""Notices: a text to whoever has subscribed to an SNS topic."""

from __future__ import annotations

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import tell
from lake_pipeline.aws.clients import make_client

MOST_SUBJECT = 100
"""Characters that SNS takes as a subject; it refuses more, and line ends."""


def publish(topic_arn: str, *, subject: str, text: str, timeout_seconds: float) -> None:
    """Tell `text` to the topic. Raises `StorageUnavailable` and what else `translated` makes of a refusal."""
    region = topic_arn.split(":")[3]
    client = make_client("sns", AwsAccess(region=region, timeout_seconds=timeout_seconds), attempts=2)
    line = " ".join(subject.split())[:MOST_SUBJECT]
    tell(topic_arn, "publish a notice", client.publish, TopicArn=topic_arn, Subject=line, Message=text)
