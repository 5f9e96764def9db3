"""Finding a Java for Spark: the named one, the packaged one, or an error that says what to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lake_pipeline.convert import java


def test_the_packaged_java_runs_with_the_option_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    java.provide_java(tmp_path)
    assert os.environ["JAVA_HOME"] == str(tmp_path)
    command = [str(tmp_path / "bin" / "java"), "--add-modules=jdk.incubator.vector", "-version"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_java_home_without_a_java_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    with pytest.raises(java.JavaMissing, match=r"nothing/bin/java does not run\. Set JAVA_HOME to a Java 17 or 21"):
        java.provide_java(tmp_path / "java")


def test_no_java_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(java, "_packaged", lambda: "")
    with pytest.raises(java.JavaMissing, match="there is none on the PATH and JAVA_HOME is not set"):
        java.provide_java(tmp_path / "java")
