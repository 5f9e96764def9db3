"""A batch of very many small files on local Spark, and the memory of its driver: the planning process and its JVM.

python -m bench.on_spark.many FILES     in a process of its own, so that its memory is only that of the driver
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

JVM_MEMORY = "512m"
"""A JVM uses what it may; a fifth of the default shows that it needs no more."""


@dataclass(frozen=True, kw_only=True)
class DriverMemory:
    """Peak memory of both in bytes, over a whole conversion."""

    files: int
    seconds: float
    driver: int
    jvm: int

    @property
    def total(self) -> int:
        return self.driver + self.jvm


def driver_memory(files: int) -> DriverMemory:
    command = [sys.executable, "-m", "bench.on_spark.many", str(files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return DriverMemory(**json.loads(done.stdout.splitlines()[-1]))


def _measured(files: int, folder: Path) -> DriverMemory:
    import os

    from lake_pipeline.convert.request import ConversionOptions, ConversionRequest
    from lake_pipeline.engines.spark import SparkEngine, start_session
    from lake_pipeline.model.files import RawFile
    from lake_pipeline.storage.directory import DirectoryStore

    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {JVM_MEMORY} pyspark-shell"
    store = DirectoryStore(folder / "lake")
    for number, content in _contents(files):
        path = store.path(f"all_historical_files/{number // 1000}/{number}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    request = ConversionRequest(
        batch_id="00000000-0000-0000-0000-000000000000",
        files=tuple(
            RawFile(file_id=number, key=info.key, etag=info.etag, size=info.size)
            for number, info in enumerate(store.objects("all_historical_files/"))
        ),
        contract=None,
        options=ConversionOptions(),
    )
    session = start_session("local[2]", folder)
    started = time.monotonic()
    report = SparkEngine(store, master="local[2]", folder=folder).convert(request)
    seconds = time.monotonic() - started
    assert sum(file.published for file in report.manifest.files) == files
    gateway = session.sparkContext._gateway
    assert gateway is not None
    return DriverMemory(files=files, seconds=seconds, driver=_peak("self"), jvm=_peak(_java_below(gateway.proc.pid)))


def _contents(files: int) -> Iterator[tuple[int, bytes]]:
    for number in range(files):
        record = {
            "event_time": f"2026-02-{number % 7 + 1:02d}T10:00:00Z",
            "mode": "live",
            "n": number,
            "user": {"id": 7},
        }
        yield number, json.dumps(record).encode() + b"\n"


def _java_below(pid: int) -> str:
    """The JVM below `pid`, which may be a shell script that started it: the descendant with the most memory."""
    import psutil

    process = psutil.Process(pid)
    return str(max([process, *process.children(recursive=True)], key=lambda child: child.memory_info().rss).pid)


def _peak(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(asdict(_measured(int(sys.argv[1]), Path(temporary)))))
