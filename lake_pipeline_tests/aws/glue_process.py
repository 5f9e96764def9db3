"""One Glue run as a process: the code from the bucket, the environment of a Glue job, its log into CloudWatch."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import boto3

import lake_pipeline

ROLE = {"AWS_ACCESS_KEY_ID": "AKIAGLUEGLUEGLUEGLUE", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-a-job"}
"""The credentials of runs: what a job's role is allowed is told apart by them."""

PYTHON = "LAKE_TEST_GLUE_PYTHON"
"""The Python that runs are run with; without it, the one of the tests."""

GROUP = "/aws-glue/jobs/output"

_BLOCKER = """\
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r} (not among --additional-python-modules)", name=name)

BLOCKED = frozenset(%r)
sys.meta_path.insert(0, Blocker())
"""


class RunProcess:
    """The process of one run. `endpoint` is its AWS."""

    def __init__(self, run_id: str, region: str, endpoint: str) -> None:
        self._run_id = run_id
        self._region = region
        self._endpoint = endpoint
        self._process: subprocess.Popen[str] | None = None
        self._is_killed = False

    def prepare(self, script: str, arguments: dict[str, str]) -> None:
        """Fetch the code and begin. Raises what the SDK raises where the code is not there."""
        code = {script: self._fetched(script)}
        for uri in filter(None, arguments.get("--extra-py-files", "").split(",")):
            code[uri] = self._fetched(uri)
        folder = _folder_of(code)
        blocker = Path(tempfile.mkdtemp(prefix="glue-run-"))
        modules = arguments.get("--additional-python-modules", "")
        (blocker / "sitecustomize.py").write_text(_BLOCKER % sorted(_blocked(modules.split(","))))
        bundles = [str(folder / _name(uri)) for uri in code if uri != script]
        given = [
            text for pair in {"--JOB_NAME": "job", "--JOB_RUN_ID": self._run_id, **arguments}.items() for text in pair
        ]
        self._process = subprocess.Popen(
            [os.environ.get(PYTHON, sys.executable), "-u", str(folder / _name(script)), *given],
            env=self._environment([str(blocker), *bundles], blocker),
            cwd=blocker,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if self._is_killed:
            self.kill()

    def run(self, timeout: float) -> tuple[int | None, str]:
        """Print until it ends: its exit code (None after `timeout` seconds), and the last line it printed."""
        assert self._process is not None
        assert self._process.stdout is not None
        logs = self._client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName=self._run_id)
        took_too_long = threading.Event()

        def end() -> None:
            took_too_long.set()
            self.kill()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        last = ""
        for line in self._process.stdout:
            last = line.strip() or last
            event = {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n") or " "}
            logs.put_log_events(logGroupName=GROUP, logStreamName=self._run_id, logEvents=[event])
        code = self._process.wait()
        timer.cancel()
        return (None if took_too_long.is_set() else code), last

    def kill(self) -> None:
        """End it and everything that it has started."""
        self._is_killed = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _environment(self, path: list[str], folder: Path) -> dict[str, str]:
        conf = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "spark"),
            "spark.log.level": "ERROR",
        }
        submitted = " ".join(f"--conf {name}={value}" for name, value in conf.items())
        kept = ("PATH", "TMPDIR", "LANG", "SPARK_CONF_DIR", "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **ROLE,
            "JAVA_HOME": _java(),
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ENDPOINT_URL": self._endpoint,
            "PYTHONPATH": os.pathsep.join(path),
            "PYSPARK_PYTHON": os.environ.get(PYTHON, sys.executable),
            "PYSPARK_SUBMIT_ARGS": f"--master local[2,4] {submitted} pyspark-shell",
        }

    def _fetched(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def _client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            region_name=self._region,
            endpoint_url=self._endpoint,
            aws_access_key_id=ROLE["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ROLE["AWS_SECRET_ACCESS_KEY"],
        )


_PROVIDE_JAVA = """\
import os, sys
from pathlib import Path
from lake_pipeline.convert.java import provide_java
provide_java(Path(sys.argv[1]))
print(os.environ["JAVA_HOME"])
"""


@cache
def _java() -> str:
    """The home of the Java that came with the Python of runs: Spark 3.5 takes 17 and no newer one."""
    python = os.environ.get(PYTHON, sys.executable)
    name = f"lake_pipeline-java-{hashlib.sha256(python.encode()).hexdigest()[:8]}"
    return subprocess.run(
        [python, "-c", _PROVIDE_JAVA, str(Path(tempfile.gettempdir()) / name)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(lake_pipeline.__file__).parents[1])},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def _folder_of(code: dict[str, bytes]) -> Path:
    """The same folder for the same code."""
    digest = hashlib.sha256(b"".join(code.values())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "lake_pipeline-glue" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for uri, content in code.items():
        path = folder / _name(uri)
        if not path.exists():
            draft = path.with_name(f"{path.name}.{os.getpid()}.{time.time_ns()}")
            draft.write_bytes(content)
            draft.replace(path)
    return folder


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def _blocked(installed: list[str]) -> set[str]:
    """The import names of what this project depends on and the job does not install."""
    wanted = {_plain(each) for each in requires("lake-pipeline") or () if "extra" not in each}
    given = {_plain(each) for each in installed}
    # Dagster's own and what else came with it is found by what it is needed for.
    absent = (wanted | {"dagster-graphql", "dagster-pipes", "dagster-shared"}) - given
    return {name for name, packages in packages_distributions().items() if {_plain(each) for each in packages} & absent}


def _plain(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower().replace("_", "-")
