"""Finding a Java for Spark: the chosen one, the packaged one, or an error with the next step."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lake_pipeline.engines import java


def test_the_packaged_java_accepts_the_option_it_does_not_know(tmp_path: Path) -> None:
    assert java.provide_java(None, tmp_path) == tmp_path
    command = [str(tmp_path / "bin" / "java"), "--add-modules=jdk.incubator.vector", "-version"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_spark_is_launched_with_the_chosen_java_home(tmp_path: Path) -> None:
    command = tmp_path / "spark-submit"
    command.write_text('#!/bin/sh\necho "$JAVA_HOME" "$@"\n')
    command.chmod(0o755)
    script = java.launcher(command, Path("/a java"), tmp_path / "made")
    assert subprocess.check_output(["ignored", "--conf", "a b"], executable=script) == b"/a java --conf a b\n"


def test_a_java_home_without_a_java_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(java.JavaMissing, match=r"nothing/bin/java does not run\. Set JAVA_HOME to a Java 17 or 21"):
        java.provide_java(str(tmp_path / "nothing"), tmp_path / "java")


def test_no_java_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(java, "_packaged", lambda: "")
    with pytest.raises(java.JavaMissing, match="there is none on the PATH and JAVA_HOME is not set"):
        java.provide_java(None, tmp_path / "java")


def test_spark_inherits_only_variables_that_it_needs(tmp_path: Path) -> None:
    script = java.launcher(Path("/usr/bin/env"), None, tmp_path)
    hidden = {"LAKE_LEDGER_URL": "hunter2", "GITHUB_TOKEN": "hunter2", "LINES_OF_TEXT": "a\nPATH=b\nhunter2 c"}
    needed = {
        "PATH": "/usr/bin:/bin",
        "AWS_SECRET_ACCESS_KEY": "it's needed\nhere",
        "PYSPARK_PYTHON": "p",
        "LC_ALL": "C",
    }

    output = subprocess.check_output([script], env={**hidden, **needed}, text=True)

    assert "hunter2" not in output + script.read_text()
    for name, value in needed.items():
        assert f"{name}={value}" in output
    assert "it's needed" not in script.read_text(), "a file must not have credentials"
