"""A sample of quarantined records: a few of those that some batches quarantined, with their positions.

It shows people what is wrong; `lake query` returns all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.contract.rescue import record_text, without
from lake_pipeline.contract.rules import Rules
from lake_pipeline.convert.parse.tolerant import MalformedRecord, loads
from lake_pipeline.errors import LakeError
from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)

COLUMNS = ["s3_key", "record", "offset", "reason", "detail", "raw"]


@dataclass(frozen=True, kw_only=True)
class QuarantinedSample:
    """A quarantined record: `record` is its index in the raw file `key`, `offset` its first byte there, decompressed.

    `raw` are its bytes, without the values at paths that the contract excludes; None if these can't be removed because
    the record is malformed. `kept_in` is the key of its Parquet file, which has all bytes.
    """

    key: str
    record: int
    offset: int
    reason: str
    detail: str
    raw: bytes | None
    kept_in: str


def sample(lake: Lake, batch_ids: Iterable[str], *, most: int) -> list[QuarantinedSample]:
    """The first `most` records that these batches quarantined; reads a part of one file for each few of them.

    Files that have expired are left out.
    """
    files = (file.key for batch_id in batch_ids for file in lake.ledger.audit.quarantine_of_batch(batch_id))
    return list(islice((record for key in files for record in _records(lake, key, most)), most))


def _records(lake: Lake, key: str, most: int) -> Iterator[QuarantinedSample]:
    try:
        with lake.store.open(key) as stream, pq.ParquetFile(stream) as parquet:
            rows = next(parquet.iter_batches(batch_size=most, columns=COLUMNS), None)
    except (LakeError, pa.ArrowException, OSError) as error:
        log.warning("%s can't be read: %s", key, error)
        return
    for row in rows.to_pylist() if rows else ():
        raw = _without_excluded(row.pop("raw"), lake.options.rules)
        yield QuarantinedSample(key=row.pop("s3_key"), kept_in=key, raw=raw, **row)


def _without_excluded(raw: bytes, rules: Rules) -> bytes | None:
    if not rules.excluded:
        return raw
    try:
        record = loads(raw)
    except MalformedRecord:
        return None
    for path in rules.excluded:
        without(record, path)
    return record_text(record).encode()
