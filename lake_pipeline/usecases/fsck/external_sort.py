"""External sort and merge of two sorted streams, in bounded memory.

A store lists in no particular order and the ledger in the order of its keys.
"""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

L = TypeVar("L")
R = TypeVar("R")
T = TypeVar("T")

RUN_ITEMS = 200_000
"""Items sorted in memory at a time; 10 million objects make 50 runs of about 20 MB each on disk."""

CHUNK_ITEMS = 1_000
"""Items of a run that are read back at a time."""


class Sorter(Generic[T]):
    """Takes items in any order and yields them sorted by `key`, once. Closed by `with`."""

    def __init__(self, key: Callable[[T], Any], *, run: int = RUN_ITEMS) -> None:
        self._key = key
        self._run = run
        self._page: list[T] = []
        self._files = ExitStack()
        self._runs: list[Iterator[T]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, item: T) -> None:
        """Take one more item."""
        self._page.append(item)
        if len(self._page) == self._run:
            self._spill()

    def __iter__(self) -> Iterator[T]:
        return heapq.merge(*self._runs, sorted(self._page, key=self._key), key=self._key)

    def _spill(self) -> None:
        items = sorted(self._page, key=self._key)
        file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 # closed with the others
        for start in range(0, len(items), CHUNK_ITEMS):
            pickle.dump(items[start : start + CHUNK_ITEMS], file)
        file.seek(0)
        self._runs.append(_read_back(file))
        self._page = []


def external_sorted(items: Iterable[T], key: Callable[[T], Any]) -> Iterator[T]:
    """The items sorted by `key`."""
    with Sorter(key) as sorter:
        for item in items:
            sorter.add(item)
        yield from sorter


def _read_back(file: IO[bytes]) -> Iterator[Any]:
    while True:
        try:
            yield from pickle.load(file)
        except EOFError:
            return


def merge_by_key(
    left: Iterable[L], left_key: Callable[[L], Any], right: Iterable[R], right_key: Callable[[R], Any]
) -> Iterator[tuple[Any, list[L], list[R]]]:
    """Every key of two sorted streams with the items that each of them has for it."""
    merged: Iterator[tuple[Any, bool, Any]] = heapq.merge(
        ((left_key(item), False, item) for item in left),
        ((right_key(item), True, item) for item in right),
        key=lambda entry: entry[:2],
    )
    for key, entries in groupby(merged, key=lambda entry: entry[0]):
        sides: tuple[list[L], list[R]] = ([], [])
        for _, is_right, item in entries:
            sides[is_right].append(item)
        yield key, *sides
