"""Copies of whole buckets, made inside the server: objects, ETags and unfinished uploads are those of the original.

Through the protocol a copy of an object that was uploaded in parts has another ETag, and an upload can't be copied.
"""

from __future__ import annotations

import copy

from moto.s3.models import s3_backends

ACCOUNT = "123456789012"


def copy_bucket(source: str, target: str) -> None:
    """Make the bucket `target` as `source` is at this moment."""
    backend = s3_backends[ACCOUNT]["aws"]
    made = copy.deepcopy(backend.buckets[source])
    made.name = target
    for key in made.keys.values():
        key.bucket_name = target
    backend.buckets[target] = made
    s3_backends.bucket_accounts[target] = (made.partition, ACCOUNT)


def drop_bucket(name: str) -> None:
    """Forget a bucket with all that is in it."""
    for key in s3_backends[ACCOUNT]["aws"].buckets.pop(name).keys.values():
        key.dispose()
    del s3_backends.bucket_accounts[name]
