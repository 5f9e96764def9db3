"""Working ahead: results in the order of their items, while the next ones are in the making, and no more of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(pool: Executor, work: Callable[[T], R], items: Iterable[T], depth: int) -> Iterator[R]:
    """`work` of each item, of which `depth` are begun before they are asked for. What fails is raised in its turn."""
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > depth:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for each in begun:
            each.cancel()


def next_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The items, of which the next one is made, in a thread of its own, while one is used. Closing it closes them."""
    with ThreadPoolExecutor(1, thread_name_prefix="next-ahead") as maker:
        try:
            begun = maker.submit(next, items, None)
            while (item := begun.result()) is not None:
                begun = maker.submit(next, items, None)
                yield item
        finally:
            maker.submit(items.close).result()
