"""This project's kernel with everything enabled, as for a batch of the ledger, including publication."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench.task import Account, Contender, Run, Task

if TYPE_CHECKING:
    from lake_pipeline.convert.request import Engine
    from lake_pipeline.storage.directory import DirectoryStore

ZONE = "all_historical_files"


def prepare(task: Task) -> Run:
    from lake_pipeline.engines.in_process import InProcessEngine

    return on_engine(task, InProcessEngine)


def _land(raw: Path, zone: Path) -> None:
    """The raw files as files of a landing zone, which may not contain symbolic links."""
    zone.mkdir()
    for file in raw.iterdir():
        try:
            (zone / file.name).hardlink_to(file)
        except OSError:  # on another file system
            shutil.copy2(file, zone / file.name)


def on_engine(task: Task, engine: Callable[[DirectoryStore], Engine]) -> Run:
    """The run of a whole batch on one of this project's engines."""
    from lake_pipeline.convert.request import ConversionOptions, ConversionRequest
    from lake_pipeline.model.files import RawFile
    from lake_pipeline.model.manifest import Outcome
    from lake_pipeline.storage.directory import DirectoryStore
    from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
    from lake_pipeline.storage.zones import CURATED_NAME

    _land(task.raw, task.work / ZONE)
    store = DirectoryStore(task.work)

    def run() -> Account:
        objects = sorted(store.objects(f"{ZONE}/"), key=lambda info: info.key)
        request = ConversionRequest(
            batch_id="00000000-0000-0000-0000-000000000000",
            files=tuple(
                RawFile(file_id=number, key=info.key, etag=info.etag, size=info.size)
                for number, info in enumerate(objects)
            ),
            contract=None,
            options=ConversionOptions(workers=task.cores),
        )
        manifest = engine(store).convert(request).manifest
        for file in manifest.files:
            if file.outcome is not Outcome.CONVERTED:
                raise RuntimeError(f"{file.outcome.value}: {file.error}")
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            list(pool.map(store.publish, manifest.objects))
        return Account(
            folder=CURATED_NAME,
            read=sum(file.read for file in manifest.files),
            quarantined=sum(file.quarantined for file in manifest.files),
            rescued=sum(file.rescued for file in manifest.files),
        )

    return run


CONTENDER = Contender(
    name="lake",
    title="lake_pipeline",
    packages=("pyarrow", "numpy", "orjson"),
    prepare=prepare,
    rounds=7,
    does="""\
The `in_process` engine on a directory, with the default `ConversionOptions` and as many workers as there are cores.
Measured:

- listing the files, inferring the contract, parsing, partitioning by date and mode
- the provenance columns `_file_id`, `_record`, `_batch_id` and `_rescued`
- the quarantine of malformed records, with bytes and offsets, and the account of every file
- Parquet with zstd, flushing every part to disk, and the rename that makes it visible""",
    omits="The ledger (claims and the manifest in PostgreSQL) and the archive.",
)
