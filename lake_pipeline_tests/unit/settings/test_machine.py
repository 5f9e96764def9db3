"""The memory limit: control groups of both versions, resource limits, and the defaults that follow from them."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lake_pipeline.settings import machine
from lake_pipeline.settings.machine import cgroup_limits, default_memory_bytes, default_workers, memory_limit

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path / "proc"


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_least_limit_of_a_group_and_those_above_it_counts(proc: Path, cgroups: Path) -> None:
    write(proc / "self/cgroup", "0::/kubepods/pod1/container\n")
    write(cgroups / "kubepods/memory.max", f"{3 * GIB}\n")
    write(cgroups / "kubepods/pod1/memory.max", f"{GIB}\n")
    write(cgroups / "kubepods/pod1/container/memory.max", "max\n")
    assert sorted(cgroup_limits(proc, cgroups)) == [GIB, 3 * GIB]
    assert memory_limit(proc, cgroups) == GIB


def test_in_a_container_the_root_of_the_mounted_groups_counts(proc: Path, cgroups: Path) -> None:
    write(proc / "self/cgroup", "0::/system.slice/docker-1234.scope\n")
    write(cgroups / "memory.max", f"{512 * MIB}\n")
    assert memory_limit(proc, cgroups) == 512 * MIB


def test_version_1_is_read_and_its_number_for_no_limit_is_none(proc: Path, cgroups: Path) -> None:
    write(proc / "self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b\n1:name=systemd:/a\n")
    write(cgroups / "memory/a/b/memory.limit_in_bytes", f"{700 * MIB}\n")
    write(cgroups / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(cgroups / "cpu/a/memory.max", "1\n")
    assert list(cgroup_limits(proc, cgroups)) == [700 * MIB]


def test_without_control_groups_the_memory_of_the_machine_is_the_limit(proc: Path, cgroups: Path) -> None:
    assert memory_limit(proc, cgroups) <= machine._physical_bytes()
    write(proc / "self/cgroup", "0::/\n")
    write(cgroups / "memory.max", "not a number\n")
    assert memory_limit(proc, cgroups) <= machine._physical_bytes()


@pytest.mark.parametrize(("kind", "expected"), [(resource.RLIMIT_AS, 2 * GIB), (resource.RLIMIT_DATA, 4 * GIB)])
def test_limits_of_the_process_count(kind: int, expected: int) -> None:
    code = (
        f"import resource; resource.setrlimit({kind}, ({4 * GIB}, {4 * GIB}))\n"
        "from lake_pipeline.settings.machine import *; print(*list(_resource_limits()))\n"
    ).replace("import *", "import _resource_limits")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(expected)]


@pytest.mark.parametrize(
    ("limit", "cores", "memory_bytes", "workers"),
    [
        (64 * GIB, 16, 256 * MIB, 16),
        (3 * GIB, 2, 256 * MIB, 2),
        (2 * GIB, 16, 256 * MIB, 7),
        (GIB, 4, 128 * MIB, 3),
        (512 * MIB, 4, 64 * MIB, 1),
        (64 * MIB, 4, 32 * MIB, 1),
    ],
)
def test_a_low_limit_means_fewer_workers_and_less_memory_for_rows(
    monkeypatch: pytest.MonkeyPatch, limit: int, cores: int, memory_bytes: int, workers: int
) -> None:
    monkeypatch.setattr(machine, "memory_limit", lambda: limit)
    monkeypatch.setattr(machine, "available_cores", lambda: cores)
    assert (default_memory_bytes(), default_workers()) == (memory_bytes, workers)
