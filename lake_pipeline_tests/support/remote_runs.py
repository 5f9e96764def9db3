"""An engine for tests whose runs are processes that continue if the worker that started them is killed.

python -m lake_pipeline_tests.support.remote_runs FOLDER       one run: reads its request, converts, writes its report
python -m lake_pipeline_tests.support.remote_runs WORK ROOT URL RUNS      one worker: runs one of `WORKS`
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from lake_pipeline.convert.kernel.convert import convert
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import TransientError
from lake_pipeline.ledger.claims import Claims
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.lakes import lake_at


class ProcessRuns:
    """See `RemoteEngine`. Each run has a folder below `runs`, named by its id; it waits until `go` exists there."""

    name = "process_runs"

    def __init__(self, root: Path, runs: Path) -> None:
        self._root = root
        self._runs = runs

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        return self.attach(self.start(request), on_progress=on_progress)

    def start(self, request: ConversionRequest) -> str:
        run_id = f"run-{uuid.uuid4().hex[:8]}"
        folder = self._runs / run_id
        folder.mkdir(parents=True)
        (folder / "request").write_bytes(pickle.dumps((self._root, request)))
        command = [sys.executable, "-m", "lake_pipeline_tests.support.remote_runs", str(folder)]
        process = subprocess.Popen(command, start_new_session=True)
        (folder / "pid").write_text(str(process.pid))
        return run_id

    def is_alive(self, run_id: str) -> bool:
        return (self._runs / run_id / "report").exists() or self._is_running(run_id)

    def find(self, batch_id: str) -> str | None:
        for folder in self._runs.glob("run-*"):
            if (folder / "pid").exists() and pickle.loads((folder / "request").read_bytes())[1].batch_id == batch_id:
                return folder.name
        return None

    def attach(self, run_id: str, *, on_progress: Progress | None = None) -> ConversionReport:  # noqa: ARG002
        path = self._runs / run_id / "report"
        while not path.exists():
            if not self._is_running(run_id) and not path.exists():
                raise TransientError(f"{run_id} ended without a report")
            time.sleep(0.02)
        report: ConversionReport = pickle.loads(path.read_bytes())
        return report

    def stop(self, run_id: str) -> None:
        (self._runs / run_id / "stopped").touch()

    def _is_running(self, run_id: str) -> bool:
        pid = (self._runs / run_id / "pid").read_text()
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"


def run(folder: Path) -> None:
    """The process of one run."""
    root, request = pickle.loads((folder / "request").read_bytes())
    while not (folder.parent / "go").exists():
        if (folder / "stopped").exists():
            return
        time.sleep(0.02)
    draft = folder / "draft"
    draft.write_bytes(pickle.dumps(convert(DirectoryStore(root), request)))
    os.replace(draft, folder / "report")


def ingest_without_run_id(lake: Lake) -> None:
    """Killed between starting the run and storing its id."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Claims.record_engine_run = die  # type: ignore[method-assign, assignment]
    list(ingest_all(lake))


def rebuild_everything(lake: Lake) -> None:
    """Rebuild all published partitions."""
    rebuild(lake, {file.partition for file in lake.ledger.curated.files()})


WORKS = {
    "ingest": lambda lake: list(ingest_all(lake)),
    "ingest-without-run-id": ingest_without_run_id,
    "rebuild": rebuild_everything,
}


def work(name: str, root: Path, url: str, runs: Path) -> None:
    """The process of one worker."""
    WORKS[name](lake_at(root, Ledger(url), engine=ProcessRuns(root, runs)))


if __name__ == "__main__":
    if sys.argv[1] in WORKS:
        work(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        run(Path(sys.argv[1]))
