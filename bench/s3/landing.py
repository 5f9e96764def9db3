"""Raw files for the bench: records of a common shape, in folders as senders make them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from lake_pipeline_tests.aws.server import AwsServer

UPLOADS = 8
FOLDERS = 20
"""The server takes longer for each page the more keys a folder has; S3 does not."""


def land(server: AwsServer, bucket: str, kind: str, files: int, size: int) -> None:
    """Put `files` objects of about `size` bytes into the landing zones."""
    client = server.client()
    content = _records(size)

    def put(number: int) -> None:
        key = f"2026/week{number % FOLDERS + 1:02d}/{kind}-{number:06d}.json"
        client.put_object(Bucket=bucket, Key=key, Body=content.replace(b"#file#", b"%06d" % number))

    with ThreadPoolExecutor(UPLOADS) as pool:
        list(pool.map(put, range(files)))


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
