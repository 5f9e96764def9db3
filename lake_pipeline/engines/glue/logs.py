"""The log of a Glue run, read from CloudWatch during the run.

It is for people only: if it can't be read, the run continues with the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from lake_pipeline.aws.calls import call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.errors import LakeError, StorageRefused

log = logging.getLogger(__name__)

GROUP = "/aws-glue/jobs"
"""Where Glue keeps logs, unless a security configuration names another group."""

_ABSENT = ("ResourceNotFoundException",)


class RunLog:
    """The standard output of a run's driver, from the first line on."""

    def __init__(self, access: AwsAccess, group: str, run_id: str) -> None:
        self._access = access
        self._group = f"{(group or GROUP).rstrip('/')}/output"
        self._stream = run_id
        self._token: str | None = None
        self._client: Any = None
        self._is_readable = True

    def new_lines(self) -> Iterator[str]:
        """The lines since the last call."""
        while self._is_readable:
            answer = self._page()
            if answer is None:
                return
            for event in answer["events"]:
                yield from event["message"].splitlines()
            # The end of the log is reached if the returned token equals the one sent.
            at_the_end = answer["nextForwardToken"] == self._token
            self._token = answer["nextForwardToken"]
            if at_the_end or not answer["events"]:
                return

    def _page(self) -> dict[str, Any] | None:
        try:
            self._client = self._client or make_client("logs", self._access)
            return call_or_none(
                f"The log group {self._group}",
                f"read the log of run {self._stream}",
                self._client.get_log_events,
                absent=_ABSENT,
                logGroupName=self._group,
                logStreamName=self._stream,
                startFromHead=True,
                **({"nextToken": self._token} if self._token else {}),
            )
        except StorageRefused as error:
            self._is_readable = False
            log.warning("The output of the Glue run is not shown here: %s", error)
        except LakeError as error:
            log.debug("The log of Glue run %s could not be read this time: %s", self._stream, error)
        return None
