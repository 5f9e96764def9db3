"""The engine that converts in runs of an AWS Glue job: starts them, follows them, stops them, takes them over.

A run is asked through an object in the lake and answers in one (`glue_run`), so that its id is all that has to be
remembered: the run itself knows what it was asked. No row passes through here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from lake_pipeline import __version__
from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import ask as ask_aws
from lake_pipeline.aws.asking import tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import code_of
from lake_pipeline.convert.glue_log import RunLog
from lake_pipeline.convert.glue_run import PROGRESS, Asked, Refused, answer_at, ask
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import (
    LakeError,
    PermanentError,
    SettingsError,
    StorageRefused,
    StorageUnavailable,
    TransientError,
)
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.zones import RUNS

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at a run. Each is two calls; Glue takes tens of them a second from one account."""

ROOM_SECONDS = 3600.0
"""How long a run waits to be started where as many are under way as the job or the account may have."""

LONGEST_PAUSE = 60.0

SILENCE_SECONDS = 1800.0
"""How long Glue may not answer before a run is no longer waited for."""

RECENT_RUNS = 200
"""Runs looked through, newest first, for one whose start nobody heard the answer to."""

_AT_WORK = frozenset({"STARTING", "RUNNING", "WAITING"})
_ENDING = frozenset({"STOPPING"})
_BUSY = frozenset({"ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"})
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
_UNKNOWN_RUN = frozenset({"EntityNotFoundException"})

_WHY = {
    "TIMEOUT": "it took longer than the job allows. Let batches be smaller (LAKE_BATCH_BYTES), or give it more "
    "minutes or workers (LAKE_GLUE_MINUTES, LAKE_GLUE_WORKERS, then `lake provision`)",
    "EXPIRED": "Glue had no workers for it in time. Nothing is wrong with its files",
    "STOPPED": "somebody stopped it. Nothing is wrong with its files",
    "ERROR": "Glue could not run it",
    "FAILED": "it failed",
}


class GlueRunFailed(TransientError):
    """A Glue run ended without a report. `reason` is its state in small letters, `url` its page in the AWS console."""

    def __init__(self, text: str, *, reason: str, url: str) -> None:
        self.reason = reason
        self.url = url
        super().__init__(text)


class GlueRunRefused(PermanentError):
    """A Glue run ended with an error that would come again: somebody has to change the settings or the files."""


class GlueBusy(TransientError):
    """No run could be started for an hour: as many are under way as the job, or the account, may have."""


class GlueEngine:
    """See `RemoteEngine`. `job` is the Glue job that `lake provision` makes; `access` is how Glue is reached.

    `share_bytes` is the size of a share, where it is not to follow from the batch.
    """

    name = "glue"

    def __init__(
        self,
        store: ObjectStore,
        *,
        job: str,
        access: AwsAccess,
        share_bytes: int | None = None,
        look_seconds: float = LOOK_SECONDS,
        room_seconds: float = ROOM_SECONDS,
    ) -> None:
        self._store = store
        self._job = job
        self._access = access
        self._share_bytes = share_bytes
        self._look_seconds = look_seconds
        self._room_seconds = room_seconds

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        return self.attach(self.start(request), on_progress=on_progress)

    def start(self, request: ConversionRequest) -> str:
        place = self._store.place
        key = ask(self._store, Asked(request=request, place=place, share_bytes=self._share_bytes))
        run_id = self._start(_arguments(str(place), place.access if isinstance(place, S3Place) else None, key))
        log.info("Batch %s: Glue run %s is started: %s", request.batch_id, run_id, self.url(run_id))
        return run_id

    def is_alive(self, run_id: str) -> bool:
        run = self._run(run_id)
        if run is None or run["JobRunState"] in _AT_WORK:
            return run is not None
        return run["JobRunState"] == "SUCCEEDED" and isinstance(self._answer(run), ConversionReport)

    def find(self, batch_id: str) -> str | None:
        """The newest run that was asked for a batch, of those started of late; None where there is none."""
        return self._find(f"{RUNS}{batch_id}/")

    def attach(self, run_id: str, *, on_progress: Progress | None = None) -> ConversionReport:
        follow = _Follow(self, run_id, on_progress)
        while (run := follow.look())["JobRunState"] in _AT_WORK | _ENDING:
            time.sleep(self._look_seconds)
        answer = self._answer(run)
        if run["JobRunState"] == "SUCCEEDED" and isinstance(answer, ConversionReport):
            return answer
        raise self._failure(run, answer)

    def stop(self, run_id: str) -> None:
        try:
            answer = tell(
                self._place, f"stop {run_id}", self._glue.batch_stop_job_run, JobName=self._job, JobRunIds=[run_id]
            )
        except LakeError as error:
            # Its files are given back all the same, and what it goes on writing is swept.
            log.warning("Glue run %s could not be stopped, stop it by hand: %s (%s)", run_id, self.url(run_id), error)
            return
        for refused in answer.get("Errors", ()):
            log.info("Glue run %s was not stopped: %s", run_id, refused.get("ErrorDetail", {}).get("ErrorMessage"))

    def url(self, run_id: str) -> str:
        """The page of a run in the AWS console."""
        region = self._glue.meta.region_name
        home = f"https://{region}.console.aws.amazon.com/gluestudio/home?region={region}"
        return f"{home}#/job/{self._job}/run/{run_id}"

    @property
    def _place(self) -> str:
        return f"Glue job {self._job}"

    @cached_property
    def _glue(self) -> Any:
        return make_client("glue", self._access)

    @cached_property
    def _starter(self) -> Any:
        """A start that is repeated because its answer was lost would be a second run."""
        return make_client("glue", self._access, attempts=1)

    def log_of(self, run: dict[str, Any]) -> RunLog:
        """What a run prints."""
        return RunLog(self._access, str(run.get("LogGroupName") or ""), run["Id"])

    def _start(self, arguments: dict[str, str]) -> str:
        until = time.monotonic() + self._room_seconds
        for pause in _pauses():
            try:
                answer = tell(
                    self._place, "start a run", self._starter.start_job_run, JobName=self._job, Arguments=arguments
                )
                return str(answer["JobRunId"])
            except LakeError as error:
                cause = error.__cause__
                code = code_of(cause) if isinstance(cause, ClientError) else None
                if code in _UNKNOWN_RUN:
                    raise SettingsError(
                        "LAKE_GLUE_JOB", f"there is no Glue job {self._job}; `lake provision` makes it"
                    ) from error
                if code in _BUSY | _THROTTLED:
                    if time.monotonic() + pause > until:
                        raise GlueBusy(
                            f"{self._place}: no run could be started for {self._room_seconds / 60:.0f} minutes "
                            f"({code}). Let fewer batches run at once (LAKE_MAX_RUNS), or raise the job's or the "
                            "account's limit of concurrent runs."
                        ) from error
                    log.info("%s: no run can be started now (%s), trying again in %.0f s", self._place, code, pause)
                    time.sleep(pause)
                    continue
                if isinstance(error, StorageRefused):
                    raise
                # The answer was lost, and with it perhaps a run that is at work.
                found = self._find(arguments["--request"])
                if found is None:
                    raise
                return found
        raise AssertionError("pauses never end")

    def _find(self, asked: str) -> str | None:
        token: dict[str, str] = {}
        seen = 0
        while seen < RECENT_RUNS:
            answer = tell(self._place, "list its runs", self._glue.get_job_runs, JobName=self._job, **token)
            for run in answer.get("JobRuns", ()):
                seen += 1
                if run.get("Arguments", {}).get("--request", "").startswith(asked):
                    return str(run["Id"])
            if not answer.get("NextToken"):
                return None
            token = {"NextToken": answer["NextToken"]}
        return None

    def _run(self, run_id: str) -> dict[str, Any] | None:
        answer = ask_aws(
            self._place,
            f"look at run {run_id}",
            self._glue.get_job_run,
            absent=_UNKNOWN_RUN,
            JobName=self._job,
            RunId=run_id,
        )
        return answer and dict(answer["JobRun"])

    def must_run(self, run_id: str) -> dict[str, Any]:
        """The run as Glue tells it now. Raises `GlueRunFailed` where Glue knows none."""
        run = self._run(run_id)
        if run is None:
            raise GlueRunFailed(
                f"Glue knows no run {run_id} of the job {self._job} (any more).",
                reason="glue_unknown_run",
                url=self.url(run_id),
            )
        return run

    def _answer(self, run: dict[str, Any]) -> ConversionReport | Refused | None:
        key = run.get("Arguments", {}).get("--request")
        return answer_at(self._store, key) if key else None

    def _failure(self, run: dict[str, Any], answer: ConversionReport | Refused | None) -> LakeError:
        state, url = run["JobRunState"], self.url(run["Id"])
        if isinstance(answer, Refused):
            told = f"{answer.text} (Glue run: {url})"
            return GlueRunRefused(told) if answer.permanent else GlueRunFailed(told, reason="glue_failed", url=url)
        why = _WHY.get(state, "it left no report")
        if detail := run.get("ErrorMessage"):
            why = f"{why}: {detail}"
        return GlueRunFailed(
            f"Glue run {run['Id']} ended as {state}: {why.rstrip('.')}. See {url}",
            reason=f"glue_{state.lower()}",
            url=url,
        )


class _Follow:
    """One who waits for a run: tells what it prints, and has patience with a Glue that does not answer."""

    def __init__(self, engine: GlueEngine, run_id: str, on_progress: Progress | None) -> None:
        self._engine = engine
        self._run_id = run_id
        self._on_progress = on_progress
        self._heard = time.monotonic()
        self._log: RunLog | None = None
        self._state = ""

    def look(self) -> dict[str, Any]:
        """The run as it is now, or as if it were at work while nobody can tell. Raises `GlueRunFailed`."""
        try:
            run = self._engine.must_run(self._run_id)
        except StorageRefused:
            raise
        except StorageUnavailable as error:
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                raise
            log.warning("Glue run %s can't be looked at now, it is waited for: %s", self._run_id, error)
            return {"Id": self._run_id, "JobRunState": "RUNNING"}
        self._heard = time.monotonic()
        self._tell(run)
        return run

    def _tell(self, run: dict[str, Any]) -> None:
        if run["JobRunState"] != self._state:
            self._state = run["JobRunState"]
            log.info("Glue run %s: %s", self._run_id, self._state)
        if self._log is None:
            self._log = self._engine.log_of(run)
        for line in self._log.new_lines():
            if found := PROGRESS.search(line):
                if self._on_progress:
                    self._on_progress(int(found[1]), int(found[2]))
            else:
                log.info("Glue: %s", line)


def _arguments(root: str, access: AwsAccess | None, request_key: str) -> dict[str, str]:
    """What the run is told: plain texts, and nothing that is secret. Everything else is in the request."""
    told = {"--lake_root": root, "--request": request_key, "--lake_version": __version__}
    if access is not None and access.region:
        told["--aws_region"] = access.region
    if access is not None and access.endpoint_url:
        told["--s3_endpoint_url"] = access.endpoint_url
    return told


def _pauses() -> Iterator[float]:
    pause = 2.0
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)
