"""Mutated inputs: valid records and files with random damage. The same seed gives the same inputs."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lake_pipeline_tests.cases import zstd

LINES_A_FILE = 100
FILES_A_ROUND = 12
"""A round is one conversion, with enough inputs that its fixed cost does not matter."""

KEY = "2026/week06/date=2026-02-03/mode=live/{:02}.json"
FIRST = b'{"n":1,"s":"text","event_time":"2026-02-03"}'
"""The first line of every file of lines: the layout is detected from it."""

_NUMBERS = (  # noqa: SIM905 # as a list they would fill a page
    "0 -0 1 -1 1.5 -0.0 1e2 1E+2 1e-400 1e400 -1e400 9223372036854775807 9223372036854775808 -9223372036854775808 "
    "-9223372036854775809 9007199254740992 9007199254740993 9007199254740993.0 18446744073709551616 "
    "0.1000000000000000055 5e-324 1.7976931348623157e308 1.7976931348623159e308 NaN Infinity -Infinity 01 1. .5 +1 1e "
    "- -- 0x1 1_0 1e99999 123456789012345678901234567890 2.2250738585072011e-308"
).split()
_TOKENS = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"null",
    b"true",
    b"}{",
    b"\\u0000",
    b"\\ud800",
    b"\0",
]
_TOKENS += [
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b"\r",
    b"\t",
    b"\x0b",
    b"\xc2\xa0",
    b"\\n",
    b"\n",
]
_KEYS = ["n", "s", "x", "b", "o", "l", "N", "a.b", "", "event_time", "mode", "_record", "ü", "year"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Files by key, and how many separately mutated inputs they contain."""

    files: dict[str, bytes]
    count: int


def inputs(seed: int) -> Inputs:
    """The inputs of one round."""
    random = Random(seed)
    files: dict[str, bytes] = {}
    count = 0
    for number in range(FILES_A_ROUND):
        if number % 4 == 3:
            content, broken = _broken_file(random), 1
        else:
            lines = [_broken_record(random) for _ in range(LINES_A_FILE)]
            content, broken = b"\n".join([FIRST, *lines]), len(lines)
        files[KEY.format(number)] = content
        count += broken
    return Inputs(files=files, count=count)


def _broken_record(random: Random) -> bytes:
    line = json.dumps(_record(random), separators=random.choice([(",", ":"), (", ", ": ")])).encode()
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        line = random.choice(_MUTATIONS)(line, random)
    return line.replace(b"\n", b" ")


def _broken_file(random: Random) -> bytes:
    """A file of any layout, optionally compressed, with damage to the whole file."""
    records = [_record(random) for _ in range(random.randint(1, 12))]
    lines = [json.dumps(record, indent=random.choice([None, None, 1])).encode() for record in records]
    text = random.choice([b"\n", b"\r\n", b"", b", "]).join(lines)
    text = random.choice([text, b"[" + b",".join(lines) + b"]"])
    compress = random.choice([None, None, gzip.compress, bz2.compress, zstd.compress])
    if compress is None:
        return _mutated(text, random)
    if random.random() < 0.3:
        return compress(_mutated(text, random))
    return _mutated(compress(text) + random.choice([b"", b"", compress(text), b"\0" * 9]), random)


def _mutated(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice([1, 1, 2, 5])):
        data = random.choice(_MUTATIONS)(data, random)
    return data


def _record(random: Random) -> dict[str, Any]:
    record: dict[str, Any] = {"n": random.randint(-5, 5), "s": random.choice(["", "text", "ü", 'quo"te', "}{", "\\"])}
    for _ in range(random.randint(0, 4)):
        record[random.choice(_KEYS)] = _value(random, 0)
    return record


def _value(random: Random, level: int) -> Any:
    match random.randint(0, 7 if level < 4 else 4):
        case 0:
            return random.choice([None, True, False])
        case 1:
            return random.choice([0, -1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**25])
        case 2:
            return random.choice([0.5, -0.0, 1e300, 1e-300, 1.0, 123456789.125])
        case 3 | 4:
            return random.choice(["", "x", "2026-02-03", "null", "1", "[", "\u2028", "\ud83d\ude00", "\0"])
        case 5:
            return {random.choice(_KEYS): _value(random, level + 1) for _ in range(random.randint(0, 3))}
        case _:
            return [_value(random, level + 1) for _ in range(random.randint(0, 3))]


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _remove(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 4) :]


def _repeat(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.randint(1, 40))
    return data[:end] + data[start:end] * random.choice([1, 1, 3]) + data[end:]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_TOKENS) + data[at:]


def _number(data: bytes, random: Random) -> bytes:
    """Replace a number by another one, or by nothing."""
    starts = [at for at in range(1, len(data)) if data[at : at + 1].isdigit() and not data[at - 1 : at].isalnum()]
    if not starts:
        return data
    start = random.choice(starts)
    end = start
    while data[end : end + 1] and data[end] in b"0123456789+-.eE":
        end += 1
    return data[:start] + random.choice(_NUMBERS).encode() + data[end:]


def _nest(data: bytes, random: Random) -> bytes:
    """Add brackets around or inside, a few or far too many, closed or not."""
    times = random.choice([1, 2, 30, 255, 256, 257, 1100, 5000])
    opening, closing = random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"[", b""), (b"", b"}")])
    at = data.find(b":") + 1
    return data[:at] + opening * times + (data[at:-1] or b"1") + closing * times + data[-1:]


def _swap(data: bytes, random: Random) -> bytes:
    one, other = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[other:] + data[one:other] + data[:one]


_MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _flip,
    _cut,
    _remove,
    _repeat,
    _insert,
    _insert,
    _number,
    _number,
    _nest,
    _swap,
)
