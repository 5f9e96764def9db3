"""Disturbances: what happens to a process at a boundary.

Each is the real thing as far as one machine has it: signals, connections that the server closes, limits of the
operating system. Only an unavailable store is simulated: at the store protocol or, for a bucket, with the error that
the SDK raises after its last retry.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from enum import StrEnum
from typing import assert_never

import psutil
import psycopg2
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from sqlalchemy.engine import make_url

from lake_pipeline.errors import LakeError, StorageUnavailable
from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline_tests.crash.worlds import World

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lake_pipeline'"


class Disturbance(StrEnum):
    """What happens at a boundary."""

    KILL = "kill"
    """SIGKILL."""
    PAUSE = "pause"
    """SIGSTOP, until the lease ran out and another worker finished everything."""
    INTERRUPT = "interrupt"
    """SIGINT, as by Ctrl-C: the process releases what it holds."""
    FAULT = "fault"
    """One error from outside: before a step, which then did not happen, or after it, so that only its answer is
    lost."""
    CUT = "cut"
    """The server closes every connection of this process."""
    RESTART = "restart"
    """The server stops as by `pg_ctl stop -m immediate`, without writing anything, and is started again."""
    OUTAGE = "outage"
    """Every later call of the object store fails."""
    FULL = "full"
    """No file can grow any more. It does not apply to a lake in a bucket."""

    def applies_to(self, boundary: str) -> bool:
        """Whether it makes a difference there.

        Between a step and the next one nothing changes outside, so most disturbances strike only before a step. An
        error after a step differs from one before it, and so does Ctrl-C after a commit.
        """
        match self:
            case Disturbance.FAULT:
                return True
            case Disturbance.INTERRUPT:
                return not boundary.startswith("after ") or boundary == "after COMMIT"
            case Disturbance.KILL | Disturbance.PAUSE:
                return not boundary.startswith("after ")
            case Disturbance.CUT | Disturbance.RESTART:
                return boundary.startswith("before ") and not _is_storage(boundary)
            case Disturbance.OUTAGE:
                return boundary.startswith(("before store.", "before s3."))
            case Disturbance.FULL:
                return boundary.startswith(("before store.", "before writer."))
        assert_never(self)

    @property
    def may_end_with(self) -> tuple[type[BaseException], ...]:
        """The errors that a disturbed process may end with."""
        return (LakeError, KeyboardInterrupt) if self is Disturbance.INTERRUPT else (LakeError,)

    def strike(self, boundary: str, world: World) -> None:
        """Do it, in the process and the thread that crosses the boundary."""
        match self:
            case Disturbance.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Disturbance.INTERRUPT:
                os.kill(os.getpid(), signal.SIGINT)
            case Disturbance.PAUSE:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Disturbance.FAULT:
                raise _fault(boundary)
            case Disturbance.CUT:
                run_as_operator(world.url, CUT)
            case Disturbance.RESTART:
                _restart_server(world)
            case Disturbance.OUTAGE if _is_request(boundary):
                raise EndpointConnectionError(endpoint_url="s3")
            case Disturbance.OUTAGE:
                raise StorageUnavailable("the object store does not answer")
            case Disturbance.FULL:
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            case _:
                assert_never(self)

    def lasts(self, boundary: str) -> bool:
        """Whether it strikes again at every later boundary that it applies to."""
        return self is Disturbance.OUTAGE and self.applies_to(boundary)


def expire_everything(url: str) -> None:
    """Close idle transactions, as the server does after a time, and let every lease run out."""
    run_as_operator(url, f"{CUT} AND state LIKE 'idle in transaction%%'")
    run_as_operator(url, "UPDATE batch SET lease_expires_at = now() - interval '1 second'")


def run_as_operator(url: str, sql: str) -> None:
    """Run a statement on a separate connection, not one of the lake's."""
    parsed = make_url(url)
    connection = psycopg2.connect(parsed.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, (parsed.database,) if "%s" in sql else None)
    finally:
        connection.close()


def _restart_server(world: World) -> None:
    postmaster = psutil.Process(int((EmbeddedHome(world.home).data / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait()
    # Its supervisor ends with it. This starts another one, which replays the log and listens on the same port.
    database = make_url(world.url).database
    assert database is not None
    assert embedded_url(world.home, database, durable=False) == world.url, (
        "the server must listen on the same port again"
    )


def _is_storage(boundary: str) -> bool:
    return _is_request(boundary) or boundary.split(" ")[1].startswith(("store.", "writer.", "os.", "open"))


def _is_request(boundary: str) -> bool:
    return boundary.split(" ")[1].startswith("s3.")


def _fault(boundary: str) -> Exception:
    step = boundary.split(" ")[1]
    if step.startswith(("os.", "open")):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if _is_request(boundary):
        timeout: Exception = ReadTimeoutError(endpoint_url="s3")
        return timeout
    if step.startswith(("store.", "writer.")):
        return StorageUnavailable("the object store did not answer in time")
    return psycopg2.OperationalError("server closed the connection unexpectedly")
