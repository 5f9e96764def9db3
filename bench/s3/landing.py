"""Raw files for the bench: records of a common shape, in weekly folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from local_aws.server import AwsServer

UPLOADS = 8
FOLDERS = 20
"""The local server takes longer for a page if a folder has more keys; S3 does not."""


def land(server: AwsServer, bucket: str, kind: str, files: int, size: int) -> None:
    """Put `files` objects of about `size` bytes into the landing zones."""
    client = server.client()

    def put(file: tuple[str, bytes]) -> None:
        client.put_object(Bucket=bucket, Key=file[0], Body=file[1])

    with ThreadPoolExecutor(UPLOADS) as pool:
        # In pages, because a pool queues everything it is given, contents included.
        made = _made(kind, files, size)
        while page := list(islice(made, 100)):
            list(pool.map(put, page))


def land_in_directory(root: Path, kind: str, files: int, size: int) -> None:
    """The same files below a directory."""
    for key, content in _made(kind, files, size):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _made(kind: str, files: int, size: int) -> Iterator[tuple[str, bytes]]:
    content = _records(size)
    for number in range(files):
        key = f"2026/week{number % FOLDERS + 1:02d}/{kind}-{number:06d}.json"
        yield key, content.replace(b"#file#", b"%06d" % number)


def _records(size: int) -> bytes:
    lines: list[bytes] = []
    length = number = 0
    while length < size:
        record = {
            "event_time": f"2026-02-{number % 3 + 1:02d}T10:{number % 60:02d}:00Z",
            "mode": ("live", "test")[number % 2],
            "file": "#file#",
            "user": {"id": number, "name": f"user {number % 97}", "tags": ["a", "b"][: number % 3]},
            "amount": number / 7,
        }
        lines.append(json.dumps(record).encode() + b"\n")
        length += len(lines[-1])
        number += 1
    return b"".join(lines)
