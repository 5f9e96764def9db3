"""Copies and removal of whole buckets inside the server. A copy has the ETags and unfinished uploads of the original.

Over the protocol, the copy of a multipart object gets another ETag, and an unfinished upload can't be copied.
"""

from __future__ import annotations

import copy

from moto.s3.models import s3_backends

ACCOUNT = "123456789012"


def copy_bucket(source: str, target: str) -> None:
    """Create the bucket `target` as a copy of the current state of `source`."""
    backend = s3_backends[ACCOUNT]["aws"]
    bucket = copy.deepcopy(backend.buckets[source])
    bucket.name = target
    for key in bucket.keys.values():
        key.bucket_name = target
    backend.buckets[target] = bucket
    s3_backends.bucket_accounts[target] = (bucket.partition, ACCOUNT)


def drop_bucket(name: str) -> None:
    """Remove a bucket with its contents."""
    for key in s3_backends[ACCOUNT]["aws"].buckets.pop(name).keys.values():
        key.dispose()
    del s3_backends.bucket_accounts[name]
