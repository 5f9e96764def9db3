"""The records of the benchmarks: nested events, wide ones, and damage to some of them.

Values are generated as vectors and formatted by a template, because generating must not take longer than the
measurement. Days and modes are mixed within every file: the hardest case for writing by partition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from enum import Enum, auto
from typing import Any

import numpy as np

DAYS = 14
FIRST_DAY = date(2026, 2, 1)
MODES = ("live", "sandbox", "replay", "shadow")
BAD_RATIO = 0.01
"""Of the dirty set: one half is malformed, the other half has a value that does not fit its column."""

Lines = Callable[[np.random.Generator, int], list[str]]

CITIES = ("Lisboa", "Kraków", "東京", "Montréal", "Nairobi", "São Paulo", "Zürich", "Hà Nội")
COUNTRIES = ("PT", "PL", "JP", "CA", "KE", "BR", "CH", "VN")
KINDS = ("order_placed", "order_paid", "order_shipped", "order_returned", "page_viewed")
MODELS = tuple(f"{brand} {number}" for brand in ("Pixel", "iPhone", "Galaxy", "ThinkPad") for number in range(5, 17))
NOTES = (
    *["null"] * 6,
    json.dumps("call before delivery"),
    json.dumps('said "leave it at the door"'),
    json.dumps("línea\nnueva"),
)
LABELS = ("[]", '["gift"]', '["gift","fragile"]', '["express"]', '["bulk","sale","express"]')

_EVENT = (
    '{"event_time":"%sZ","mode":"%s","event_id":"%016x","kind":"%s","sequence":%d,'
    '"session":{"id":"%016x%016x","page":"/shop/%s/%d","first_seen":%d},'
    '"user":{"id":%d,"name":"user-%d","address":{"city":"%s","country":"%s","geo":{"lat":%.5f,"lon":%.5f}}},'
    '"device":{"os":"%s","model":"%s","version":"%d.%d.0","screen":{"width":%d,"height":%d}},'
    '"items":[%s],"amount":%.2f,"currency":"EUR","labels":%s,'
    '"metrics":{"latency_ms":%d,"retries":%d,"cache_hit":%s,"score":%.6f},"note":%s}'
)


def events(rng: np.random.Generator, count: int) -> list[str]:
    """Order events of about 720 bytes: ids, texts, numbers, nested objects, a list of objects."""
    whole = rng.integers
    columns: list[Column] = [
        _times(rng, count),
        _choices(rng, MODES, count),
        whole(1 << 62, size=count),
        _choices(rng, KINDS, count),
        whole(1_000_000, size=count),
        whole(1 << 62, size=count),
        whole(1 << 62, size=count),
        _choices(rng, KINDS, count),
        whole(20_000, size=count),
        1_750_000_000_000 + whole(20_000_000_000, size=count),
        whole(1, 200_000, size=count),
        whole(1, 200_000, size=count),
        *_locations(rng, count),
        _choices(rng, ("ios", "android", "web"), count),
        _choices(rng, MODELS, count),
        whole(1, 9, size=count),
        whole(30, size=count),
        _choices(rng, (390, 412, 1280, 1920), count),
        _choices(rng, (844, 915, 720, 1080), count),
        _item_lists(rng, count),
        rng.uniform(1, 500, count),
        _choices(rng, LABELS, count),
        whole(5, 900, size=count),
        _choices(rng, (0, 0, 0, 1, 2), count),
        _choices(rng, ("true", "false"), count),
        rng.random(count),
        _choices(rng, NOTES, count),
    ]
    return _formatted(_EVENT, columns)


DATE = slice(15, 39)
"""Where the text of `event_time` is in an event."""


def utc_events(rng: np.random.Generator, count: int) -> list[str]:
    """Order events with dates such as `2024-01-02 03:04:05 UTC`."""
    return [f"{line[:15]}{line[15:25]} {line[26:34]} UTC{line[DATE.stop :]}" for line in events(rng, count)]


def epoch_events(rng: np.random.Generator, count: int) -> list[str]:
    """Order events with the seconds since 1970 as text."""
    lines = events(rng, count)
    seconds = np.array([line[15:34] for line in lines], dtype="datetime64[s]").astype(np.int64).tolist()
    return [f"{line[:15]}{second}{line[DATE.stop :]}" for line, second in zip(lines, seconds, strict=True)]


GROUPS = ("page", "session", "network", "battery", "storage", "audio", "video", "sensor", "billing", "consent")
PARTS = ("before", "after")
MEASURES = ("count", "bytes", "mean_ms", "share", "name", "state", "flag", "limit")
WIDE_LEAVES = 4 + len(GROUPS) * len(PARTS) * len(MEASURES)

_PART = '{"count":%d,"bytes":%d,"mean_ms":%.2f,"share":%s,"name":"n-%d","limits":{"state":"%s","flag":%s,"limit":%d}}'
_WIDE = (
    '{"event_time":"%sZ","mode":"%s","event_id":"%016x","amount":%.2f,'
    + ",".join(f'"{group}":{{' + ",".join(f'"{part}":{_PART}' for part in PARTS) + "}" for group in GROUPS)
    + "}"
)


def wide_events(rng: np.random.Generator, count: int) -> list[str]:
    """Telemetry of about 3 KB with `WIDE_LEAVES` leaf fields, four levels deep; one `share` in five is null."""
    columns: list[Column] = [
        _times(rng, count),
        _choices(rng, MODES, count),
        rng.integers(1 << 62, size=count),
        rng.uniform(1, 500, count),
    ]
    shares = ("null", *(f"{number / 40:.3f}" for number in range(4, 8)))
    for _ in range(len(GROUPS) * len(PARTS)):
        columns += [
            rng.integers(1000, size=count),
            rng.integers(10_000_000, size=count),
            rng.uniform(0, 900, count),
            _choices(rng, shares, count),
            rng.integers(500, size=count),
            _choices(rng, ("idle", "busy", "failed", "recovering"), count),
            _choices(rng, ("true", "false"), count),
            rng.integers(64, size=count),
        ]
    return _formatted(_WIDE, columns)


EVENT_TYPES, TYPE_FIELDS = 195, 10
SPARSE_LEAVES = 4 + EVENT_TYPES * TYPE_FIELDS


def sparse_events(rng: np.random.Generator, count: int) -> list[str]:
    """Events of about 270 bytes, each with the `TYPE_FIELDS` fields of one of `EVENT_TYPES` types and no others."""
    kinds = rng.integers(EVENT_TYPES, size=count)
    names = [[f"e{kind}_f{field}" for field in range(TYPE_FIELDS)] for kind in range(EVENT_TYPES)]
    columns: list[Column] = [_times(rng, count), _choices(rng, MODES, count), kinds, rng.uniform(1, 500, count)]
    for field in range(TYPE_FIELDS):
        columns.append([names[kind][field] for kind in kinds.tolist()])
        columns.append(_sparse_values(rng, field, count))
    template = '{"event_time":"%sZ","mode":"%s","kind":"type-%d","amount":%.2f,' + ",".join(['"%s":%s'] * TYPE_FIELDS)
    return _formatted(template + "}", columns)


def _sparse_values(rng: np.random.Generator, field: int, count: int) -> list[str]:
    """Integers, fractions, texts that repeat and texts that do not, by the number of the field."""
    numbers = rng.integers(1_000_000, size=count).tolist()
    forms = ("{0}", "{0}.5", '"{1}"', '"id-{0}"')
    return [forms[field % 4].format(number, COUNTRIES[number % len(COUNTRIES)]) for number in numbers]


class Fate(Enum):
    """The kind of damage to a record of the dirty set."""

    GOOD = auto()
    MALFORMED = auto()
    MISFIT = auto()


def damage(rng: np.random.Generator, lines: list[str]) -> list[Fate]:
    """Damage `BAD_RATIO` of the lines in place, alternating both kinds; returns the fate of each line."""
    fates = [Fate.GOOD] * len(lines)
    for order, position in enumerate(np.flatnonzero(rng.random(len(lines)) < BAD_RATIO).tolist()):
        fates[position], changes = (Fate.MALFORMED, _MALFORMATIONS) if order % 2 == 0 else (Fate.MISFIT, _MISFITS)
        lines[position] = changes[order // 2 % len(changes)](lines[position])
    return fates


_MALFORMATIONS: tuple[Callable[[str], str], ...] = (
    lambda line: line[: len(line) * 2 // 3],
    lambda _: "<html><body>502 Bad Gateway</body></html>",
    lambda line: line.replace('"amount":', '"amount" = ', 1),
    lambda line: line[:-1],
)
_MISFITS: tuple[Callable[[str], str], ...] = (
    lambda line: re.sub(r'"amount":[\d.]+', '"amount":"not known"', line, count=1),
    lambda line: re.sub(r'"retries":\d', '"retries":{"count":1}', line, count=1),
    lambda line: re.sub(r'"labels":\[[^]]*\]', '"labels":"none"', line, count=1),
)


Column = np.ndarray[Any, Any] | list[str]


def _formatted(template: str, columns: Sequence[Column]) -> list[str]:
    values = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
    return [template % row for row in zip(*values, strict=True)]


def _times(rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    start = np.datetime64(FIRST_DAY.isoformat(), "ms").astype(np.int64)
    times = start + rng.integers(DAYS * 86_400_000, size=count)
    return np.datetime_as_string(times.astype("datetime64[ms]"))


def _choices(rng: np.random.Generator, values: Sequence[object], count: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object)[rng.integers(len(values), size=count)]


def _locations(rng: np.random.Generator, count: int) -> tuple[np.ndarray[Any, Any], ...]:
    """City, country, latitude and longitude; the country is that of the city."""
    number = rng.integers(len(CITIES), size=count)
    cities, countries = np.array(CITIES, dtype=object)[number], np.array(COUNTRIES, dtype=object)[number]
    return cities, countries, rng.uniform(-60, 70, count), rng.uniform(-180, 180, count)


def _item_lists(rng: np.random.Generator, count: int) -> list[str]:
    """Up to three items each, of 4,000 products with a fixed price and tags."""
    products = [
        f'"sku":"SKU-{number:05}","price":{number * 7919 % 12000 / 100:.2f},"tags":{LABELS[number % len(LABELS)]}'
        for number in range(4000)
    ]
    picked = rng.integers(len(products), size=(count, 3)).tolist()
    pieces = rng.integers(1, 6, size=(count, 3)).tolist()
    lengths = rng.integers(4, size=count).tolist()
    return [
        ",".join(f'{{{products[row[item]]},"qty":{quantity[item]}}}' for item in range(length))
        for row, quantity, length in zip(picked, pieces, lengths, strict=True)
    ]
