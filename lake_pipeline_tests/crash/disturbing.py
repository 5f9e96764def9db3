"""What is done to a process at a boundary, and what whoever comes next finds afterwards.

Each is the real thing as far as one machine has it: signals, connections that the server ends, limits of the operating
system. Only a store that does not answer is played, at the store protocol or, for a bucket, as what the SDK raises when
it has tried often enough.
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

from lake_pipeline.errors import StorageUnavailable
from lake_pipeline.ledger.embedded import embedded_url
from lake_pipeline.ledger.embedded_home import EmbeddedHome
from lake_pipeline_tests.crash.worlds import World

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lake_pipeline'"


class Disturbance(StrEnum):
    """What happens at a boundary."""

    KILL = "kill"
    """SIGKILL."""
    PAUSE = "pause"
    """SIGSTOP, until the lease ran out and another worker finished everything."""
    FAULT = "fault"
    """One error of the world, once: before a step it did not happen, after a step it did and nobody was told."""
    CUT = "cut"
    """The server ends every connection of this process."""
    RESTART = "restart"
    """The server stops as by `pg_ctl stop -m immediate`, without writing anything, and is started again."""
    OUTAGE = "outage"
    """No call of the object store works from now on."""
    FULL = "full"
    """No file grows from now on. A lake in a bucket has none that could."""

    def fits(self, boundary: str) -> bool:
        """Whether it makes a difference there.

        The world is the same after a step and before the next one, so what comes from outside strikes only before; an
        error is another one after a step, which then has happened.
        """
        match self:
            case Disturbance.FAULT:
                return True
            case Disturbance.KILL | Disturbance.PAUSE:
                return not boundary.startswith("after ")
            case Disturbance.CUT | Disturbance.RESTART:
                return boundary.startswith("before ") and not _is_storage(boundary)
            case Disturbance.OUTAGE:
                return boundary.startswith(("before store.", "before s3."))
            case Disturbance.FULL:
                return boundary.startswith(("before store.", "before writer."))
        assert_never(self)

    def strike(self, boundary: str, world: World) -> None:
        """Do it, in the process and the thread that crosses the boundary."""
        match self:
            case Disturbance.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
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
        """Whether it strikes again at each such boundary that follows."""
        return self is Disturbance.OUTAGE and self.fits(boundary)


def time_passes(url: str) -> None:
    """The server ends the transactions that nobody goes on with, and every lease runs out."""
    run_as_operator(url, f"{CUT} AND state LIKE 'idle in transaction%%'")
    run_as_operator(url, "UPDATE batch SET lease_expires_at = now() - interval '1 second'")


def run_as_operator(url: str, sql: str) -> None:
    """A statement on a connection of its own, not one of the lake's."""
    made = make_url(url)
    connection = psycopg2.connect(made.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, (made.database,) if "%s" in sql else None)
    finally:
        connection.close()


def _restart_server(world: World) -> None:
    postmaster = psutil.Process(int((EmbeddedHome(world.home).data / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait()
    # Its keeper ends with it; this starts another one, which replays the log and listens at the same port.
    database = make_url(world.url).database
    assert database is not None
    assert embedded_url(world.home, database, durable=False) == world.url, "the server came back somewhere else"


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
