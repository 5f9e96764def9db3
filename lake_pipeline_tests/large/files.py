"""Files of any size, written in pieces: normal ones, and ones built to break their reader."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import BinaryIO

from lake_pipeline_tests.support.sparse import sparse_lines

_DAYS, _MODES = 28, ("live", "test", "replay")


def _records() -> Iterator[bytes]:
    random = Random(7)
    texts = [f"{random.getrandbits(400):x}" for _ in range(997)]
    for number in count():
        yield (
            f'{{"event_time": "2026-02-{1 + number // 1000 % _DAYS:02}T{number % 24:02}:{number % 60:02}:30Z", '
            f'"mode": "{_MODES[number % 7 % 3]}", "id": {number}, "user": {{"name": "user-{number * 7919 % 100_003}", '
            f'"geo": {{"lat": {number * 31 % 18000 / 100}, "lon": {number * 17 % 36000 / 100}}}}}, '
            f'"tags": ["a", "b{number % 50}"], "items": [{{"sku": "s{number % 1000}", "amount": {number % 9}.5}}], '
            f'"text": "{texts[number % 997]}"}}'
        ).encode()


def _blocks(size: int, between: bytes) -> Iterator[tuple[int, bytes]]:
    """Records joined by `between`, a few thousand at a time, up to `size` bytes."""
    source = _records()
    while size > 0:
        records = [next(source) for _ in range(4000)]
        block = between.join(records)
        size -= len(block)
        yield len(records), block + between * (size > 0)


def lines(file: BinaryIO, size: int) -> int:
    """NDJSON. Like all functions here, returns how many records were written."""
    return sum(_written(file, block) * records for records, block in _blocks(size, b"\n"))


def array(file: BinaryIO, size: int) -> int:
    """One array over many lines."""
    file.write(b"[\n")
    records = sum(_written(file, block) * records for records, block in _blocks(size, b",\n"))
    file.write(b"\n]\n")
    return records


def dirty(file: BinaryIO, size: int) -> int:
    """NDJSON in which every hundredth record is malformed."""
    total = 0
    for records, block in _blocks(size, b"\n"):
        file.write(_with_broken(block))
        total += records
    return total


def _with_broken(block: bytes) -> bytes:
    lines = block.split(b"\n")
    return b"\n".join(line[:-9] if at % 100 == 50 else line for at, line in enumerate(lines))


def _sparse(file: BinaryIO, size: int) -> int:
    """NDJSON of 195 event types with 10 fields each: 1,950 columns, of which a record has 10."""
    records = size // 150
    file.write(sparse_lines(records))
    return records


def _written(file: BinaryIO, block: bytes) -> int:
    file.write(block)
    return 1


def _bomb(piece: bytes, *, before: bytes = b"", after: bytes = b"") -> Callable[[BinaryIO, int], int]:
    """A gzip of `piece` repeated: ten megabytes of it contain ten gigabytes of text."""

    def write(file: BinaryIO, size: int) -> int:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
            packed.write(before)
            block = piece * max(1, (1 << 20) // len(piece))
            for _ in range(max(1, size // len(block))):
                packed.write(block)
            packed.write(after)
        return 0

    return write


def _wide(file: BinaryIO, size: int) -> int:
    """One record with more than 100,000 keys, between others."""
    keys = {f"key_{number}": number for number in range(max(100_000, size // 20))}
    record = {"event_time": "2026-02-03", "mode": "live"}
    file.write(b"\n".join(json.dumps(line).encode() for line in [record, {**record, "wide": keys}, record]))
    return 3


def _one(before: bytes, piece: bytes, after: bytes) -> Callable[[BinaryIO, int], int]:
    """One record of `before`, `piece` repeated up to the size, and `after`, between forty others."""
    usual = b'{"event_time":"2026-02-03","mode":"live","n":1}\n' * 20

    def write(file: BinaryIO, size: int) -> int:
        file.write(usual + b'{"event_time":"2026-02-03","mode":"live",' + before)
        block = piece * max(1, (1 << 20) // len(piece))
        for _ in range(max(1, size // len(block))):
            file.write(block)
        file.write(after + b"}\n" + usual)
        return 41

    return write


LAYOUTS: dict[str, Callable[[BinaryIO, int], int]] = {
    "lines": lines,
    "array": array,
    "dirty": dirty,
    "sparse": _sparse,
    "nested": _one(b'"n":', b"[", b""),
    "nested-closed": _one(b'"n":', b'{"a":', b"1"),
    "nested-only": lambda file, size: file.write(b"[" * size) * 0,
    "long-text": _one(b'"s":"', b"x", b'"'),
    "longer-text": _one(b'"s":"', b"x", b'"'),
    "long-key": _one(b'"', b"k", b'":1'),
    "long-number": _one(b'"n":', b"7", b""),
    "long-fraction": _one(b'"n":0.', b"7", b""),
    "wide": _wide,
    "long-list": _one(b'"l":[0', b",1", b"]"),
    "long-list-of-objects": _one(b'"l":[{}', b',{"a":1}', b"]"),
    "long-list-of-repeated-keys": _one(b'"l":[{}', b',{"a":1,"a":2}', b"]"),
    "long-list-with-a-misfit": _one(b'"l":[{"a":1}', b',{"a":2}', b',{"a":"x"}]'),
    "long-list-of-lists": _one(b'"l":[[]', b",[0]", b"]"),
    "escapes": _one(b'"s":"', b"\\u00fc", b'"'),
    "zeros": _bomb(b"\0"),
    "spaces": _bomb(b" "),
    "blank-lines": _bomb(b"\n"),
    "one-line": _bomb(b"x"),
    "tiny-broken-lines": _bomb(b"1\n"),
    "tiny-objects": _bomb(b"{}\n"),
    "tiny-elements": _bomb(b"1,", before=b"[", after=b"1]"),
}
