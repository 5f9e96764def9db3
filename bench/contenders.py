"""What is measured: this project's kernel and its peers, each as a function that prepares one run.

To add a peer: write a function that takes the working folder (raw files under `all_historical_files/`, free to
write elsewhere), imports what it needs and returns the run itself; add it to `CONTENDERS`. Only the run is timed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ZONE = "all_historical_files"


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a run wrote."""

    rows: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One run: wall-clock seconds without starting Python, peak memory of the process, and what it wrote."""

    contender: str
    seconds: float
    peak_bytes: int
    output_bytes: int
    rows: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))


Run = Callable[[], Output]


def lake(work: Path) -> Run:
    """This project: infer the contract, convert, make the parts visible. No ledger."""
    from lake_pipeline.convert.in_process import InProcessEngine
    from lake_pipeline.convert.request import ConversionOptions, ConversionRequest
    from lake_pipeline.model.files import RawFile
    from lake_pipeline.settings.settings import available_cores
    from lake_pipeline.storage.directory import DirectoryStore

    store = DirectoryStore(work)
    found = sorted(store.objects(f"{ZONE}/"), key=lambda info: info.key)
    request = ConversionRequest(
        batch_id="00000000-0000-0000-0000-000000000000",
        files=tuple(
            RawFile(file_id=number, key=info.key, etag=info.etag, size=info.size) for number, info in enumerate(found)
        ),
        contract=None,
        options=ConversionOptions(workers=available_cores()),
    )

    def run() -> Output:
        manifest = InProcessEngine(store).convert(request).manifest
        for pending in manifest.objects:
            store.publish(pending)
        return Output(
            rows=sum(part.rows for part in manifest.curated), bytes=sum(part.object.size for part in manifest.curated)
        )

    return run


def duckdb(work: Path) -> Run:
    """DuckDB: read_json, then COPY with PARTITION_BY and zstd. Structs stay nested, which spares it work."""
    import duckdb as engine

    connection = engine.connect()
    connection.execute("SET VARIABLE files = ?", [[str(path) for path in sorted((work / ZONE).iterdir())]])
    target = work / "duckdb"

    def run() -> Output:
        copied = connection.execute(
            """
            COPY (
                SELECT *, year(event_time::TIMESTAMP) AS p_year, month(event_time::TIMESTAMP) AS p_month,
                       day(event_time::TIMESTAMP) AS p_day, mode AS p_mode
                FROM read_json(getvariable('files'), format = 'newline_delimited')
            )
            """
            f"TO '{str(target).replace(chr(39), chr(39) * 2)}' "
            "(FORMAT parquet, PARTITION_BY (p_year, p_month, p_day, p_mode), COMPRESSION zstd)"
        ).fetchone()
        assert copied is not None
        return Output(rows=int(copied[0]), bytes=sum(path.stat().st_size for path in target.rglob("*.parquet")))

    return run


CONTENDERS: dict[str, Callable[[Path], Run]] = {"lake": lake, "duckdb": duckdb}


def measure(contender: str, work: Path) -> Measurement:
    """Run `contender` once in this process."""
    run = CONTENDERS[contender](work)
    started = time.perf_counter()
    output = run()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measurement(
        contender=contender,
        seconds=seconds,
        # Linux tells kilobytes, macOS bytes.
        peak_bytes=peak if sys.platform == "darwin" else peak * 1024,
        output_bytes=output.bytes,
        rows=output.rows,
    )
