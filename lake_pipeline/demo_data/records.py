"""Records of the demo: order events with nested objects and lists of objects.

From `LATE_FIELD_DAY` on they have a new field, `consent`, and in mode sandbox `build` is a string instead of a number.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from lake_pipeline.demo_data.plan import LATE_FIELD_DAY, PlannedFile

CITIES = (
    ("Lisboa", "PT", 38.7223, -9.1393),
    ("Kraków", "PL", 50.0647, 19.945),
    ("東京", "JP", 35.6762, 139.6503),
    ("Montréal", "CA", 45.5019, -73.5674),
    ("Nairobi", "KE", -1.2921, 36.8219),
)
NAMES = ("Zoë", "Amara", "Łukasz", "Inês", "Haruto", "Noah", "Priya", "O'Brien")
KINDS = ("order_placed", "order_paid", "order_shipped", "order_returned")
TAGS = ("gift", "fragile", "express", "bulk", "sale")
NO_DATES: tuple[str | None, ...] = (None, "soon", "0001-01-01T00:00:00Z", "2026-02-30T12:00:00Z")
"""Values instead of a valid date; None means that the field is absent."""


def record(rng: Random, file: PlannedFile, number: int) -> dict[str, Any]:
    """Record `number` of `file`, with a valid date in one of the file's days."""
    day, mode = rng.choice(file.days), rng.choice(file.modes)
    moment = datetime.combine(day, time()) + timedelta(milliseconds=rng.randrange(86_400_000))
    event: dict[str, Any] = {
        "event_time": moment.isoformat(timespec="milliseconds") + "Z",
        "mode": mode,
        "event_id": f"{rng.getrandbits(64):016x}",
        "kind": rng.choice(KINDS),
        "user": _user(rng),
        "device": {
            "os": rng.choice(("ios", "android", "web")),
            "screen": {"width": rng.choice((390, 412, 1920)), "height": rng.choice((844, 915, 1080))},
        },
        "items": [_item(rng) for _ in range(rng.randrange(4))],
        "amount": round(rng.uniform(1, 500), 2),
        "metrics": {"latency_ms": rng.randrange(5, 900), "retries": rng.choice((0, 0, 0, 1, 2))},
        "build": _build(rng, day, mode),
        "note": rng.choice((None, None, "call before delivery", 'said "leave it at the door"', "línea\nnueva")),
    }
    if day >= LATE_FIELD_DAY:
        event["consent"] = {"ads": rng.random() < 0.5, "version": rng.randrange(1, 4)}
    if file.labeled and number % 10 == 0:
        # The key has both, so nothing is lost.
        del event["event_time"], event["mode"]
    return event


def without_date(rng: Random, event: dict[str, Any]) -> dict[str, Any]:
    """The same record with an invalid date, or without the field."""
    wrong = rng.choice(NO_DATES)
    rest = {name: value for name, value in event.items() if name != "event_time"}
    return rest if wrong is None else {"event_time": wrong, **rest}


def _user(rng: Random) -> dict[str, Any]:
    city, country, latitude, longitude = rng.choice(CITIES)
    return {
        "id": rng.randrange(1, 5000),
        "name": rng.choice(NAMES),
        "address": {
            "city": city,
            "country": country,
            "geo": {
                "lat": round(latitude + rng.uniform(-0.1, 0.1), 5),
                "lon": round(longitude + rng.uniform(-0.1, 0.1), 5),
            },
        },
    }


def _item(rng: Random) -> dict[str, Any]:
    return {
        "sku": f"SKU-{rng.randrange(1000):04}",
        "qty": rng.randrange(1, 6),
        "price": round(rng.uniform(0.5, 120), 2),
        "tags": sorted(rng.sample(TAGS, rng.randrange(3))),
    }


def _build(rng: Random, day: date, mode: str) -> int | str:
    number = rng.randrange(1000, 1100)
    return f"{number}-rc1" if day >= LATE_FIELD_DAY and mode == "sandbox" else number
