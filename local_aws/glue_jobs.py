"""Glue's job API: each run is a process that executes the job's script with the arguments that Glue would pass.

Job definitions are moto's. A run reads its code from the bucket, logs to CloudWatch, and is killed if it is stopped or
exceeds its timeout. Of the project's dependencies it can only import those in the job's `--additional-python-modules`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.glue.models import FakeJob, glue_backends

from local_aws.glue_run import RunProcess

ACCOUNT = "123456789012"
TARGET = "AWSGlue."


class GlueError(Exception):
    """An error answer of Glue: its code and its message."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class GlueJobs:
    """WSGI middleware. `endpoint` is the AWS endpoint for its runs: this server."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._runs: list[Run] = []
        self.endpoint = ""
        self.configure()

    def configure(
        self,
        *,
        refusals: Iterable[str] = (),
        lost_starts: int = 0,
        workers: bool = True,
        minute_seconds: float = 60.0,
    ) -> None:
        """From now on: error codes that reject the next starts, the number of starts whose answers are lost, whether
        new runs get workers, and the length of a minute of a job's timeout."""
        with self._lock:
            self._refusals = list(refusals)
            self._lost_starts = lost_starts
            self._workers = workers
            self._minute_seconds = minute_seconds

    def set_state(self, run_id: str, state: str, message: str) -> None:
        """End a run in a state that only AWS sets: ERROR, EXPIRED."""
        self._run(run_id).end(state, message)

    def stop_all(self) -> None:
        """Kill all running processes."""
        for run in self._runs:
            run.end("STOPPED", "")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix(TARGET)
        handler = {
            "StartJobRun": self._start_job_run,
            "GetJobRun": self._get_job_run,
            "GetJobRuns": self._get_job_runs,
            "BatchStopJobRun": self._batch_stop_job_run,
            "UpdateJob": self._update_job,
        }.get(operation)
        if handler is None or not environ.get("HTTP_X_AMZ_TARGET", "").startswith(TARGET):
            passed: Iterable[bytes] = self._app(environ, start_response)
            return passed
        request = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        region = environ["HTTP_AUTHORIZATION"].split("/")[2]
        try:
            return _json(start_response, "200 OK", handler(request, region))
        except GlueError as error:
            answer = {"__type": error.code, "Message": str(error)}
            return _json(start_response, "400 Bad Request", answer)

    def _start_job_run(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        job = _job(request["JobName"], region)
        with self._lock:
            if self._refusals:
                raise GlueError(self._refusals.pop(0), "Rejected by local_aws.")
            active = sum(run.job == job.name and not run.is_over for run in self._runs)
            if active >= int(job.execution_property.get("MaxConcurrentRuns", 1)):
                raise GlueError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job.name}")
            run = Run(job, request.get("Arguments", {}), region, self.endpoint, self._minute_seconds)
            self._runs.append(run)
            if self._workers:
                run.begin()
            if self._lost_starts:
                self._lost_starts -= 1
                raise GlueError("InternalServiceException", "The answer was lost by local_aws.")
        return {"JobRunId": run.run_id}

    def _get_job_run(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        _job(request["JobName"], region)
        return {"JobRun": self._run(request["RunId"]).as_dict()}

    def _get_job_runs(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        job = _job(request["JobName"], region)
        return {"JobRuns": [run.as_dict() for run in reversed(self._runs) if run.job == job.name]}

    def _batch_stop_job_run(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        job, stopped, errors = _job(request["JobName"], region), [], []
        for run_id in request["JobRunIds"]:
            run = self._run(run_id)
            if run.is_over:
                detail = {"ErrorCode": "InvalidInputException", "ErrorMessage": f"{run_id} is {run.state}"}
                errors.append({"JobName": job.name, "JobRunId": run_id, "ErrorDetail": detail})
            else:
                run.end("STOPPED", "")
                stopped.append({"JobName": job.name, "JobRunId": run_id})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def _update_job(self, request: dict[str, Any], region: str) -> dict[str, Any]:
        job = _job(request["JobName"], region)
        names = {
            "Role": "role",
            "Command": "command",
            "DefaultArguments": "default_arguments",
            "ExecutionProperty": "execution_property",
            "MaxRetries": "max_retries",
            "Timeout": "timeout",
            "GlueVersion": "glue_version",
            "WorkerType": "worker_type",
            "NumberOfWorkers": "number_of_workers",
        }
        for name, value in request["JobUpdate"].items():
            setattr(job, names[name], value)
        return {"JobName": job.name}

    def _run(self, run_id: str) -> Run:
        for run in self._runs:
            if run.run_id == run_id:
                return run
        raise GlueError("EntityNotFoundException", f"Job run {run_id} not found.")


class Run:
    """One run of a job."""

    def __init__(
        self, job: FakeJob, arguments: dict[str, str], region: str, endpoint: str, minute_seconds: float
    ) -> None:
        self.job = job.name
        self.run_id = f"jr_{time.time_ns():x}{id(self):x}"
        self.state = "WAITING"
        self._own_arguments = arguments
        self._arguments = {**job.default_arguments, **arguments}
        self._script: str = job.command["ScriptLocation"]  # type: ignore[index]
        self._timeout = (job.timeout or 2880) * minute_seconds
        self._message = ""
        self._process = RunProcess(self.run_id, region, endpoint)
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        return self.state not in ("WAITING", "STARTING", "RUNNING", "STOPPING")

    def begin(self) -> None:
        self.state = "STARTING"
        threading.Thread(target=self._work, daemon=True).start()

    def end(self, state: str, message: str) -> None:
        """Set the final state, once, and kill the process."""
        with self._lock:
            if self.is_over:
                return
            self.state, self._message = state, message
        self._process.kill()

    def as_dict(self) -> dict[str, Any]:
        fields = {
            "Id": self.run_id,
            "JobName": self.job,
            "JobRunState": self.state,
            "Arguments": self._own_arguments,
            "LogGroupName": "/aws-glue/jobs",
        }
        return {**fields, "ErrorMessage": self._message} if self._message else fields

    def _work(self) -> None:
        try:
            self._process.prepare(self._script, self._arguments)
        except Exception as error:
            self.end("FAILED", f"LAUNCH ERROR | {error}")
            return
        self.state = "RUNNING" if self.state == "STARTING" else self.state
        if self.is_over:
            return
        code, last_line = self._process.run(self._timeout)
        if code is None:
            self.end("TIMEOUT", "Job run timed out")
        elif code:
            self.end("FAILED", last_line)
        else:
            self.end("SUCCEEDED", "")


def _job(name: str, region: str) -> FakeJob:
    job: FakeJob | None = glue_backends[ACCOUNT][region].jobs.get(name)
    if job is None:
        raise GlueError("EntityNotFoundException", f"Job {name} not found.")
    return job


def _json(start_response: Callable[..., Any], status: str, answer: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
    return [body]
