"""The baseline: the same requests with as many threads, and no other work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.s3.lake import Stage, total
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
from lake_pipeline.storage.s3.bucket import ORIGIN_ETAG
from lake_pipeline.storage.s3.multipart import PART_BYTES
from local_aws.server import AwsServer


def bare_loop(server: AwsServer, bucket: str, stages: list[Stage]) -> list[Stage]:
    """The stages with the time of the bare loop, and their total."""
    client = server.client()
    listing, ingest, archive = stages
    listing.bare_seconds, keys = _timed(lambda: _list(client, bucket))
    ingest.bare_seconds, _ = _timed(lambda: _ingest(client, bucket, keys, ingest.written))
    archive.bare_seconds, _ = _timed(lambda: _run_all(lambda key: _move(client, bucket, key), keys))
    return [*stages, total(listing.kind, stages)]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _run_all(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        list(pool.map(work, items))


def _list(client: Any, bucket: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="2026/")
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def _ingest(client: Any, bucket: str, keys: list[str], written: list[int]) -> None:
    _run_all(lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read(), keys)
    _run_all(lambda item: _write(client, bucket, *item), enumerate(written))


def _write(client: Any, bucket: str, number: int, size: int) -> None:
    at = {"Bucket": bucket, "Key": f"json_parsed_parquet/{number}.parquet"}
    upload = {"UploadId": client.create_multipart_upload(**at)["UploadId"]}
    parts = []
    for part, start in enumerate(range(0, size, PART_BYTES), start=1):
        body = b"x" * min(PART_BYTES, size - start)
        answer = client.upload_part(**at, **upload, PartNumber=part, Body=body)
        parts.append({"PartNumber": part, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**at, **upload, MultipartUpload={"Parts": parts})


def _move(client: Any, bucket: str, key: str) -> None:
    source, target = {"Bucket": bucket, "Key": key}, {"Bucket": bucket, "Key": f"raw-json-data-processed/{key}"}
    etag = client.head_object(**source)["ETag"]
    client.copy_object(
        **target,
        CopySource=source,
        CopySourceIfMatch=etag,
        Metadata={ORIGIN_ETAG: etag.strip('"')},
        MetadataDirective="REPLACE",
    )
    client.head_object(**target)
    client.delete_object(**source, IfMatch=etag)
