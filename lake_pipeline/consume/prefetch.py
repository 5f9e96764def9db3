"""Prefetching: compute the next results in threads, in order and with a limit on their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(pool: Executor, work: Callable[[T], R], items: Iterable[T], depth: int) -> Iterator[R]:
    """The results of `work` for each item, in order, as are its errors. `depth` of them are started in advance."""
    started: deque[Future[R]] = deque()
    try:
        for item in items:
            started.append(pool.submit(work, item))
            if len(started) > depth:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        for future in started:
            future.cancel()


def prefetch_next(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The items. A thread computes the next one while one is used. Closing this generator closes `items`."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch-next") as maker:
        try:
            started = maker.submit(next, items, None)
            while (item := started.result()) is not None:
                started = maker.submit(next, items, None)
                yield item
        finally:
            maker.submit(items.close).result()
