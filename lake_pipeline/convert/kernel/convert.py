"""The kernel: from a batch of raw files to pending Parquet parts, with an outcome for each file.

    small files → packs → blocks ┐
                                 ├→ parse, partition, flatten (threads) → gather by partition → Parquet
    large file  →  its blocks    ┘

Rows of small files share parts; a file's rows are added only after it is accepted. Rows of a large file are held until
its end. If they become too many, they are streamed into parts of the file's own, which are discarded if the file is
refused.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.inference import infer
from lake_pipeline.convert.input.prefetch import Prefetcher
from lake_pipeline.convert.input.reader import Plan, plan, sample
from lake_pipeline.convert.kernel.batch import BatchConversion
from lake_pipeline.convert.kernel.publishable import PublishableRecords
from lake_pipeline.convert.output.writer import finisher_threads
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.outage_watch import OutageWatch

TRIM_ABOVE_BYTES = 512 << 20
"""Resident memory below which nothing is trimmed: trimming takes hundredths of a second."""

GC_THRESHOLD = 50_000
"""New objects after which Python searches for cycles; the default is 700."""


def convert(store: ObjectStore, request: ConversionRequest, on_progress: Progress | None = None) -> ConversionReport:
    """Convert every file of the request; see `Engine.convert` for the contract and the errors."""
    started = time.monotonic()
    manifest = None
    try:
        with _rare_garbage_collection(), Prefetcher(store, request.options) as reader:
            planned, watch = plan(request.files), OutageWatch()
            reader.expect(planned.large)
            contract = EvolvingContract(first_contract(store, request, watch), request.widens_from, request.kept)
            while manifest is None:
                manifest, evidence = _convert_once(store, request, planned, contract, reader, watch, on_progress)
    finally:
        _release_memory()
    return ConversionReport(
        manifest=manifest,
        contract=contract.current,
        bytes_read=sum(file.size for file in request.files),
        seconds=time.monotonic() - started,
        evidence=evidence,
    )


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """There are many objects here and no cycles: searching for them stops all threads, for 3 % of the time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], GC_THRESHOLD), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def first_contract(store: ObjectStore, request: ConversionRequest, watch: OutageWatch) -> Contract:
    """The contract to begin with: the current one, or one inferred from a sample, under the rules as they are now.

    A contract without any field is one of batches that could publish nothing, so a sample decides again.
    Raises `Outage` if the store is not available for the sample.
    """
    rules = request.options.rules
    contract = (request.contract or Contract()).with_rules(rules)
    if contract.root.fields:
        return contract
    publishable = PublishableRecords(request.options)
    records = (
        record
        for file, head in sample(store, request.files, request.options, watch)
        for record in publishable.of_file(file.key, head)
    )
    return contract.evolved(infer(records, rules))


def _convert_once(
    store: ObjectStore,
    request: ConversionRequest,
    planned: Plan,
    contract: EvolvingContract,
    reader: Prefetcher,
    watch: OutageWatch,
    on_progress: Progress | None,
) -> tuple[Manifest | None, Evidence]:
    """No manifest if a column became wider during the pass: the rows before it have the narrower type.

    Nor if a wider column turned out to round integers: it gets its type back.
    """
    before = contract.widenings
    with (
        ThreadPoolExecutor(request.options.workers, thread_name_prefix="convert") as pool,
        finisher_threads() as finishers,
    ):
        reader.expect(planned.large)
        conversion = BatchConversion(store, request, contract, reader, watch, pool, finishers, on_progress)
        try:
            manifest = conversion.run(planned)
        except BaseException:
            conversion.discard()
            raise
    if contract.widenings != before or contract.take_back(conversion.evidence):
        conversion.discard()
        return None, Evidence()
    contract.add_wishes(conversion.evidence)
    return manifest, conversion.evidence


def _release_memory() -> None:
    """Return free memory to the system: Arrow's always, glibc's if the process is large.

    Allocators keep it for later use, which is fast and usually right. After records of 30 MB it is half a gigabyte on
    top of the next conversion.
    """
    pa.default_memory_pool().release_unused()
    if _libc is not None and _resident() > TRIM_ABOVE_BYTES:
        _libc.malloc_trim(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None


_libc = _glibc()
