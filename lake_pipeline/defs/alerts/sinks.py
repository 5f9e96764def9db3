"""Destinations of alerts in addition to the log: an SNS topic or a webhook, by LAKE_ALERTS."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import TypeAlias

from lake_pipeline.errors import LakeError
from lake_pipeline.escaping.chat import chat_message
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.model.redaction import without_credentials


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A subject of one line, a text of one or more lines, and a link to the UI if its address is known."""

    subject: str
    text: str
    link: str | None = None

    @property
    def lines(self) -> str:
        """The text and the link as plain text. Line feeds are those of the program: `text` has none from data."""
        return "\n".join(map(one_line, [*self.text.split("\n"), *([self.link] if self.link else [])]))


Sink: TypeAlias = Callable[[Alert], None]
"""Sends an alert; raises `OSError`, `HTTPException` or `LakeError` if sending failed."""

TIMEOUT_SECONDS = 10.0
"""Dagster ends a tick after 60 s, and one tick may send several alerts."""

MAX_CHARACTERS = 3_000
"""Of an alert's text: Slack truncates at 4,000."""


def sink_of(target: str | None) -> Sink | None:
    """The sink for a value of LAKE_ALERTS; None if alerts are only logged."""
    if target is None:
        return None
    return _topic(target) if target.startswith("arn:") else _webhook(target)


def send(sink: Sink | None, alert: Alert, log: logging.Logger) -> bool:
    """Log the alert and send it to the sink, if there is one. If sending fails, log why and return False.

    Credentials in the texts are masked: they may come from errors of other programs.
    """
    alert = replace(alert, subject=without_credentials(alert.subject), text=without_credentials(alert.text))
    log.error(f"{one_line(alert.subject)}\n{alert.lines}")
    if sink is None:
        return True
    try:
        sink(alert)
    except (OSError, HTTPException, LakeError) as error:
        log.error(one_line(f"The alert could not be sent to LAKE_ALERTS: {_problem(error)}"))
        return False
    return True


def _problem(error: Exception) -> str:
    """What went wrong. The text of other errors may repeat the URL of a webhook, which is its password."""
    match error:
        case urllib.error.HTTPError(code=code):
            return f"the webhook answered HTTP {code}"
        case LakeError():
            return str(error)
        case urllib.error.URLError(reason=OSError(strerror=str(reason))) | OSError(strerror=str(reason)):
            return reason
        case _:
            return type(error).__name__


def _topic(arn: str) -> Sink:
    def publish_to_topic(alert: Alert) -> None:
        # Loads the AWS SDK, which takes a third of a second.
        from lake_pipeline.aws.notify import publish

        publish(arn, subject=alert.subject, text=alert.lines, timeout_seconds=TIMEOUT_SECONDS)

    return publish_to_topic


def _webhook(url: str) -> Sink:
    def post(alert: Alert) -> None:
        message = chat_message(alert.subject, alert.text, alert.link)
        # Slack fetches no page for a preview of a link.
        body = json.dumps({"text": message, "unfurl_links": False, "unfurl_media": False}).encode()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            response.read()

    return post
