"""Convert generated files, one after the other: `python -m lake_pipeline_tests.large lines:5000 array:2000`.

A file is a name from `files.LAYOUTS` and its megabytes of text. Prints one line of JSON for each: records, outcome,
peak resident bytes so far, seconds (wall-clock, and CPU of all cores), MB of text per second.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import tempfile
import time
from pathlib import Path

from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline_tests.large.files import LAYOUTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lake_pipeline_tests.large", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="LAYOUT:MEGABYTES", help=", ".join(LAYOUTS))
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder of the system)")
    parser.add_argument("--data-bytes", type=int, help="limit of the process's data, as of `ulimit -d`")
    arguments = parser.parse_args()
    if arguments.data_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (arguments.data_bytes, arguments.data_bytes))
    for file in arguments.files:
        layout, _, megabytes = file.partition(":")
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            print(json.dumps(_measured(DirectoryStore(Path(folder)), layout, int(megabytes))), flush=True)


def _measured(store: DirectoryStore, layout: str, megabytes: int) -> dict[str, object]:
    key = f"2026/week06/{layout}.json"
    path = store.path(key)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        LAYOUTS[layout](file, megabytes * 1_000_000)
    info = store.stat(key)
    assert info is not None
    raw = RawFile(file_id=1, key=key, etag=info.etag, size=info.size)
    request = ConversionRequest(batch_id="large", files=(raw,), contract=None)
    started, worked = time.monotonic(), time.process_time()
    report = InProcessEngine(store).convert(request)
    seconds = time.monotonic() - started
    outcome = report.manifest.files[0]
    return {
        "layout": layout,
        "megabytes": megabytes,
        "outcome": outcome.outcome.value,
        "reason": outcome.reason,
        "read": outcome.read,
        "published": outcome.published,
        "quarantined": outcome.quarantined,
        "rows": sum(part.rows for part in report.manifest.curated),
        "peak": _peak(),
        "seconds": round(seconds, 2),
        "core_seconds": round(time.process_time() - worked, 2),
        "megabytes_a_second": round(megabytes / seconds, 1),
    }


def _peak() -> int:
    """The peak resident memory of this process, in bytes.

    On Linux `ru_maxrss` starts with the memory of the parent process, which is 1.3 GB if it has loaded PyTorch.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(kilobytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
