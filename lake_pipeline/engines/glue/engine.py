"""The engine that converts in runs of an AWS Glue job: starts, follows, stops and adopts them.

A run gets its request from an object in the lake and writes its report to another (`protocol`). So a run id is all that
the ledger has to store. No row passes through here.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

from lake_pipeline import __version__
from lake_pipeline.aws.calls import call, call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.errors import service_code
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.engines.glue.logs import RunLog
from lake_pipeline.engines.glue.protocol import PROGRESS, RunError, RunRequest, read_answer, write_request
from lake_pipeline.engines.wire import error_from_json
from lake_pipeline.errors import (
    EngineUnavailable,
    LakeError,
    Outage,
    PermanentError,
    SettingsError,
    StorageRefused,
    StorageUnavailable,
    TransientError,
    WorkersLost,
)
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import RUNS

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Time between two polls of a run. A poll is two calls; Glue allows tens of them per second and account."""

START_SECONDS = 3600.0
"""How long to wait for a run to start if the job or the account is at its limit of concurrent runs."""

MAX_PAUSE_SECONDS = 60.0

OUTAGE_SECONDS = 1800.0
"""How long Glue may be unreachable before a run is abandoned."""

RECENT_RUNS = 200
"""Runs searched, newest first, for one whose start got no answer."""

_ACTIVE = frozenset({"STARTING", "RUNNING", "WAITING"})
_ENDING = frozenset({"STOPPING"})
_NOT_RUN = frozenset({"EXPIRED", "STOPPED", "ERROR"})
_SETUP = re.compile("lake provision|ModuleNotFoundError|ImportError|AccessDenied|StorageRefused|OtherVersion")
"""In the message of a run that failed before it read a file: its code or its role is wrong."""
_BUSY = frozenset({"ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"})
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
_UNKNOWN_RUN = frozenset({"EntityNotFoundException"})

_EXPLANATIONS = {
    "TIMEOUT": "it took longer than the job allows. Make batches smaller (LAKE_BATCH_BYTES), or give it more "
    "minutes or workers (LAKE_GLUE_MINUTES, LAKE_GLUE_WORKERS, then `lake provision`)",
    "EXPIRED": "Glue had no workers for it in time. Its files are not the cause",
    "STOPPED": "it was stopped by a user or a program. Its files are not the cause",
    "ERROR": "Glue could not run it",
    "FAILED": "it failed",
}


class GlueRunFailed(TransientError):
    """A Glue run failed. `reason` is its state in lower case, `url` its page in the AWS console."""

    def __init__(self, text: str, *, reason: str, url: str) -> None:
        self.reason = reason
        self.url = url
        super().__init__(text)


class GlueRunLost(GlueRunFailed, WorkersLost):
    """A Glue run died without a report: a file may need more memory or time than its workers have."""


class GlueRunNotRun(GlueRunFailed, EngineUnavailable):
    """A Glue run was stopped, forgotten, or never got workers. Its files are not the cause."""


class GlueUnavailable(EngineUnavailable):
    """Glue can't be reached, refuses, or has no such job."""


class GlueBusy(GlueUnavailable):
    """No run could be started for an hour: the job or the account is at its limit of concurrent runs."""


class GlueEngine:
    """See `RemoteEngine`. `job` is the Glue job that `lake provision` creates; `access` is the connection to Glue.

    `shard_bytes` is the size of a shard; None derives it from the batch.
    """

    name = "glue"

    def __init__(
        self,
        store: ObjectStore,
        *,
        job: str,
        access: AwsAccess,
        shard_bytes: int | None = None,
        poll_seconds: float = POLL_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._store = store
        self._job = job
        self._access = access
        self._shard_bytes = shard_bytes
        self._poll_seconds = poll_seconds
        self._start_seconds = start_seconds

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        return self.attach(self.start(request), on_progress=on_progress)

    def probe(self) -> None:
        # Not `get_job`: this role needs no other permission than for a run.
        list_runs = partial(self._glue.get_job_runs, JobName=self._job, MaxResults=1)
        with _of_glue():
            if call_or_none(self._job_name, "list its runs", list_runs, absent=_UNKNOWN_RUN) is None:
                raise self._no_job()

    def start(self, request: ConversionRequest) -> str:
        location = self._store.location
        key = write_request(self._store, RunRequest(request=request, location=location, shard_bytes=self._shard_bytes))
        with _of_glue():
            run_id = self._start(
                _arguments(str(location), location.access if isinstance(location, S3Location) else None, key)
            )
        log.info("Batch %s: Glue run %s is started: %s", request.batch_id, run_id, self.url(run_id))
        return run_id

    def is_alive(self, run_id: str) -> bool:
        run = self._run(run_id)
        if run is None or run["JobRunState"] in _ACTIVE:
            return run is not None
        return run["JobRunState"] == "SUCCEEDED" and isinstance(self._answer(run), ConversionReport)

    def find(self, batch_id: str) -> str | None:
        """The newest recent run for a batch; None if there is none."""
        return self._find(f"{RUNS}{batch_id}/")

    def attach(self, run_id: str, *, on_progress: Progress | None = None) -> ConversionReport:
        follower = _RunFollower(self, run_id, on_progress)
        while (run := follower.poll())["JobRunState"] in _ACTIVE | _ENDING:
            time.sleep(self._poll_seconds)
        answer = self._answer(run)
        if run["JobRunState"] == "SUCCEEDED" and isinstance(answer, ConversionReport):
            return answer
        raise self._failure(run, answer)

    def stop(self, run_id: str) -> None:
        try:
            answer = call(
                self._job_name, f"stop {run_id}", self._glue.batch_stop_job_run, JobName=self._job, JobRunIds=[run_id]
            )
        except LakeError as error:
            # Its files are released all the same, and objects it still writes are swept later.
            log.warning("Glue run %s could not be stopped, stop it manually: %s (%s)", run_id, self.url(run_id), error)
            return
        for refused in answer.get("Errors", ()):
            log.info("Glue run %s was not stopped: %s", run_id, refused.get("ErrorDetail", {}).get("ErrorMessage"))

    def url(self, run_id: str) -> str:
        """The page of a run in the AWS console."""
        region = self._glue.meta.region_name
        home = f"https://{region}.console.aws.amazon.com/gluestudio/home?region={region}"
        return f"{home}#/job/{self._job}/run/{run_id}"

    @property
    def _job_name(self) -> str:
        return f"Glue job {self._job}"

    @cached_property
    def _glue(self) -> Any:
        return make_client("glue", self._access)

    @cached_property
    def _starter(self) -> Any:
        """No retries: a start that is repeated because its answer was lost would be a second run."""
        return make_client("glue", self._access, attempts=1)

    def log_of(self, run: dict[str, Any]) -> RunLog:
        """The output of a run."""
        return RunLog(self._access, str(run.get("LogGroupName") or ""), run["Id"])

    def _start(self, arguments: dict[str, str]) -> str:
        until = time.monotonic() + self._start_seconds
        for pause in _pauses():
            try:
                answer = call(
                    self._job_name, "start a run", self._starter.start_job_run, JobName=self._job, Arguments=arguments
                )
                return str(answer["JobRunId"])
            except LakeError as error:
                code = service_code(error)
                if code in _UNKNOWN_RUN:
                    raise self._no_job() from error
                if code in _BUSY | _THROTTLED:
                    if time.monotonic() + pause > until:
                        raise GlueBusy(
                            f"{self._job_name}: no run could be started for {self._start_seconds / 60:.0f} minutes "
                            f"({code}). Run fewer batches at once (LAKE_MAX_RUNS), or raise the limit of "
                            "concurrent runs of the job or the account."
                        ) from error
                    log.info("%s: no run can be started now (%s), retry in %.0f s", self._job_name, code, pause)
                    time.sleep(pause)
                    continue
                if isinstance(error, StorageRefused):
                    raise
                # The answer was lost; a run may have been started nevertheless.
                run_id = self._find(arguments["--request"])
                if run_id is None:
                    raise
                return run_id
        raise AssertionError("pauses never end")

    def _no_job(self) -> SettingsError:
        return SettingsError("LAKE_GLUE_JOB", f"there is no Glue job {self._job}; run `lake provision` to create it")

    def _find(self, request_prefix: str) -> str | None:
        token: dict[str, str] = {}
        seen = 0
        while seen < RECENT_RUNS:
            answer = call(self._job_name, "list its runs", self._glue.get_job_runs, JobName=self._job, **token)
            for run in answer.get("JobRuns", ()):
                seen += 1
                if run.get("Arguments", {}).get("--request", "").startswith(request_prefix):
                    return str(run["Id"])
            if not answer.get("NextToken"):
                return None
            token = {"NextToken": answer["NextToken"]}
        return None

    def _run(self, run_id: str) -> dict[str, Any] | None:
        answer = call_or_none(
            self._job_name,
            f"read the state of run {run_id}",
            self._glue.get_job_run,
            absent=_UNKNOWN_RUN,
            JobName=self._job,
            RunId=run_id,
        )
        return answer and dict(answer["JobRun"])

    def get_run(self, run_id: str) -> dict[str, Any]:
        """The current state of the run. Raises `GlueRunFailed` if Glue does not know it."""
        run = self._run(run_id)
        if run is None:
            raise GlueRunNotRun(
                f"Glue does not know run {run_id} of the job {self._job} (any more).",
                reason="glue_unknown_run",
                url=self.url(run_id),
            )
        return run

    def _answer(self, run: dict[str, Any]) -> ConversionReport | RunError | None:
        key = run.get("Arguments", {}).get("--request")
        return read_answer(self._store, key) if key else None

    def _failure(self, run: dict[str, Any], answer: ConversionReport | RunError | None) -> LakeError:
        state, url = run["JobRunState"], self.url(run["Id"])
        if isinstance(answer, RunError):
            return _reported(answer, url)
        explanation = _EXPLANATIONS.get(state, "it left no report")
        if detail := run.get("ErrorMessage"):
            explanation = f"{explanation}: {detail}"
        kind = GlueRunNotRun if state in _NOT_RUN or _SETUP.search(explanation) else GlueRunLost
        return kind(
            f"Glue run {run['Id']} ended as {state}: {explanation.rstrip('.')}. See {url}",
            reason=f"glue_{state.lower()}",
            url=url,
        )


class _RunFollower:
    """Waits for a run: logs its output, and tolerates outages of Glue."""

    def __init__(self, engine: GlueEngine, run_id: str, on_progress: Progress | None) -> None:
        self._engine = engine
        self._run_id = run_id
        self._on_progress = on_progress
        self._last_answer = time.monotonic()
        self._log: RunLog | None = None
        self._state = ""

    def poll(self) -> dict[str, Any]:
        """The run as it is now; as running if Glue can't be reached. Raises `GlueRunFailed`."""
        try:
            run = self._engine.get_run(self._run_id)
        except StorageRefused as error:
            raise GlueUnavailable(str(error)) from error
        except StorageUnavailable as error:
            if time.monotonic() - self._last_answer > OUTAGE_SECONDS:
                raise GlueUnavailable(str(error)) from error
            log.warning("Glue run %s can't be checked now, still waiting for it: %s", self._run_id, error)
            return {"Id": self._run_id, "JobRunState": "RUNNING"}
        self._last_answer = time.monotonic()
        self._log_changes(run)
        return run

    def _log_changes(self, run: dict[str, Any]) -> None:
        if run["JobRunState"] != self._state:
            self._state = run["JobRunState"]
            log.info("Glue run %s: %s", self._run_id, self._state)
        if self._log is None:
            self._log = self._engine.log_of(run)
        for line in self._log.new_lines():
            if match := PROGRESS.search(line):
                if self._on_progress:
                    self._on_progress(int(match[1]), int(match[2]))
            else:
                log.info("Glue: %s", line)


@contextmanager
def _of_glue() -> Iterator[None]:
    """Raises errors of the calls in this block as those of the engine: the store is not the one that failed."""
    try:
        yield
    except StorageUnavailable as error:
        raise GlueUnavailable(str(error)) from error


def _reported(answer: RunError, url: str) -> LakeError:
    """The error that a run wrote in place of a report, with the URL of the run."""
    error = error_from_json({"kind": answer.kind, "text": f"{answer.text} (Glue run: {url})"})
    match error:
        case Outage():
            return error
        case PermanentError():
            # No file causes it, because a bad file is an outcome in a report.
            return GlueUnavailable(str(error))
        case WorkersLost():
            return GlueRunLost(str(error), reason="glue_failed", url=url)
        case _:
            return GlueRunFailed(str(error), reason="glue_failed", url=url)


def _arguments(root: str, access: AwsAccess | None, request_key: str) -> dict[str, str]:
    """The arguments of a run: plain texts without secrets. Everything else is in the request."""
    arguments = {"--lake_root": root, "--request": request_key, "--lake_version": __version__}
    if access is not None and access.region:
        arguments["--aws_region"] = access.region
    if access is not None and access.endpoint_url:
        arguments["--s3_endpoint_url"] = access.endpoint_url
    return arguments


def _pauses() -> Iterator[float]:
    pause = 2.0
    while True:
        yield pause
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
