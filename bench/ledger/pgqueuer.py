"""pgqueuer: the same claims on a dedicated job queue.

Its jobs are narrower than our files and have neither history nor account; what it dequeues it marks as picked, with
SKIP LOCKED as here. No concurrency limits are set, which is its fastest statement.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import EntrypointExecutionParameter, Queries
from sqlalchemy import make_url

ENTRYPOINT = "convert"
CHUNK_JOBS = 10_000


async def fill(url: str, jobs: int) -> None:
    """Install its schema in an empty database and enqueue `jobs` jobs through its own API."""
    async with _queries(url) as queries:
        await queries.install()
        for first in range(0, jobs, CHUNK_JOBS):
            count = min(CHUNK_JOBS, jobs - first)
            payloads = [f"all_historical_files/events-{first + number:010}.json.gz".encode() for number in range(count)]
            await queries.enqueue([ENTRYPOINT] * count, payloads, [0] * count)


@asynccontextmanager
async def dequeuer(url: str, files: int) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A function that takes the next `files` jobs and returns their number."""
    async with _queries(url) as queries:
        entrypoints = {ENTRYPOINT: EntrypointExecutionParameter(0)}
        worker = uuid4()

        async def dequeue() -> int:
            jobs = await queries.dequeue(files, entrypoints, worker, None, timedelta(hours=1))
            return len(jobs)

        yield dequeue


@asynccontextmanager
async def _queries(url: str) -> AsyncIterator[Queries]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        yield Queries(AsyncpgDriver(connection))
    finally:
        await connection.close()
