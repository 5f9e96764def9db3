"""The machine and the versions of everything that ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bench.task import Contender
from lake_pipeline.engines.java import java_version

BUSY_LOAD = 0.3
"""Load per core above which other processes disturb the measurement."""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_busy() -> bool:
    return os.getloadavg()[0] / cores() > BUSY_LOAD


def facts() -> dict[str, str]:
    """Without names and addresses: they are published in docs/benchmarks.md."""
    return {
        "CPU": _cpu(),
        "Cores": str(cores()),
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "System": f"{_system()}, {platform.machine()}",
        "Load before the first run": f"{os.getloadavg()[0]:.2f}",
    }


def versions(contenders: list[Contender]) -> dict[str, str]:
    """Of Python, of the contenders' packages, and of Java if one of them is Spark."""
    packages = dict.fromkeys(name for contender in contenders for name in contender.packages)
    installed = {"Python": platform.python_version()} | {name: _version(name) for name in packages}
    return installed | ({"Java": java_version(os.environ.get("JAVA_HOME"))} if "pyspark" in packages else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.release()}"
