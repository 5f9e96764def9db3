"""The process of a Glue run: its code from the bucket, the environment of a Glue worker, its log in CloudWatch."""

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

RUN_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAGLUEGLUEGLUEGLUE", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-a-job"}
"""The credentials of runs, by which the request log distinguishes their calls from those of the host."""

PYTHON = "LAKE_TEST_GLUE_PYTHON"
"""The Python of runs; without it, this one."""

LOG_GROUP = "/aws-glue/jobs/output"

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
    """The process of one run. `endpoint` is its AWS endpoint."""

    def __init__(self, run_id: str, region: str, endpoint: str) -> None:
        self._run_id = run_id
        self._region = region
        self._endpoint = endpoint
        self._process: subprocess.Popen[str] | None = None
        self._is_killed = False

    def prepare(self, script: str, arguments: dict[str, str]) -> None:
        """Fetch the code and start the process. Raises the SDK's error if the code does not exist."""
        code = {script: self._fetch(script)}
        for uri in filter(None, arguments.get("--extra-py-files", "").split(",")):
            code[uri] = self._fetch(uri)
        folder = _folder_of(code)
        blocker = Path(tempfile.mkdtemp(prefix="glue-run-"))
        modules = arguments.get("--additional-python-modules", "")
        (blocker / "sitecustomize.py").write_text(_BLOCKER % sorted(_blocked(modules.split(","))))
        bundles = [str(folder / _name(uri)) for uri in code if uri != script]
        options = [
            text for pair in {"--JOB_NAME": "job", "--JOB_RUN_ID": self._run_id, **arguments}.items() for text in pair
        ]
        self._process = subprocess.Popen(
            [os.environ.get(PYTHON, sys.executable), "-u", str(folder / _name(script)), *options],
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
        """Copies the output to the log until the process ends.

        Returns the exit code (None after `timeout` seconds) and the last line of the output.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        logs = self._client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=LOG_GROUP)
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=self._run_id)
        timed_out = threading.Event()

        def end() -> None:
            timed_out.set()
            self.kill()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        last_line = ""
        for line in self._process.stdout:
            last_line = line.strip() or last_line
            event = {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n") or " "}
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self._run_id, logEvents=[event])
        code = self._process.wait()
        timer.cancel()
        return (None if timed_out.is_set() else code), last_line

    def kill(self) -> None:
        """Kill the process and its children."""
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
        options = " ".join(f"--conf {name}={value}" for name, value in conf.items())
        inherited = ("PATH", "TMPDIR", "LANG", "SPARK_CONF_DIR", "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE")
        return {
            **{name: os.environ[name] for name in inherited if name in os.environ},
            **RUN_CREDENTIALS,
            "JAVA_HOME": _java(),
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ENDPOINT_URL": self._endpoint,
            "PYTHONPATH": os.pathsep.join(path),
            "PYSPARK_PYTHON": os.environ.get(PYTHON, sys.executable),
            "PYSPARK_SUBMIT_ARGS": f"--master local[2,4] {options} pyspark-shell",
        }

    def _fetch(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        content: bytes = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def _client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            region_name=self._region,
            endpoint_url=self._endpoint,
            aws_access_key_id=RUN_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=RUN_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )


_PROVIDE_JAVA = """\
import os, sys
from pathlib import Path
from lake_pipeline.engines.java import provide_java
print(provide_java(os.environ.get("JAVA_HOME"), Path(sys.argv[1])) or "")
"""


@cache
def _java() -> str:
    """JAVA_HOME of the Java installed with the Python of runs: Spark 3.5 needs Java 17."""
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
    """A folder with the code, named by its hash."""
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
    """Import names of the project's dependencies that the job does not install."""
    dependencies = {_project_name(text) for text in requires("lake-pipeline") or () if "extra" not in text}
    # Packages that are only installed with Dagster.
    dependencies |= {"dagster-graphql", "dagster-pipes", "dagster-shared"}
    absent = dependencies - {_project_name(text) for text in installed}
    return {name for name, projects in packages_distributions().items() if absent & set(map(_project_name, projects))}


def _project_name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower().replace("_", "-")
