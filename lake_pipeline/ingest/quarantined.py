"""Quarantined records to look at: a few of those that some batches put aside, with where they stand.

For people who want to know what is wrong; who wants all of them asks `lake query`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.errors import LakeError
from lake_pipeline.ingest.lake import Lake

log = logging.getLogger(__name__)

COLUMNS = ["s3_key", "record", "offset", "reason", "detail", "raw"]


@dataclass(frozen=True, kw_only=True)
class QuarantinedSample:
    """A quarantined record: `record` is its index in the raw file `key`, `offset` its first byte there, decompressed.

    `raw` are its bytes, `kept_in` is the key of the Parquet file that has it.
    """

    key: str
    record: int
    offset: int
    reason: str
    detail: str
    raw: bytes
    kept_in: str


def sample(lake: Lake, batch_ids: Iterable[str], *, most: int) -> list[QuarantinedSample]:
    """The first `most` records that these batches quarantined; reads a part of one file for each few of them.

    A file that is gone, as those do that expire, is left out.
    """
    files = (file.key for batch_id in batch_ids for file in lake.ledger.quarantine_of_batch(batch_id))
    return list(islice((record for key in files for record in _records(lake, key, most)), most))


def _records(lake: Lake, key: str, most: int) -> Iterator[QuarantinedSample]:
    try:
        with lake.store.open(key) as stream, pq.ParquetFile(stream) as parquet:
            rows = next(parquet.iter_batches(batch_size=most, columns=COLUMNS), None)
    except (LakeError, pa.ArrowException, OSError) as error:
        log.warning("%s can't be looked into: %s", key, error)
        return
    for row in rows.to_pylist() if rows else ():
        yield QuarantinedSample(key=row.pop("s3_key"), kept_in=key, **row)
