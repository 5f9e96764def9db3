"""What the figures were taken on: the machine, and the versions of everything that ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bench.task import Contender
from lake_pipeline.convert.java import java_version

BUSY_LOAD = 0.3
"""Load per core above which somebody else is working, and figures say little."""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_busy() -> bool:
    return os.getloadavg()[0] / cores() > BUSY_LOAD


def facts() -> dict[str, str]:
    """No names and no addresses: a page is made of it."""
    return {
        "CPU": _cpu(),
        "Cores": str(cores()),
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "System": f"{_system()}, {platform.machine()}",
        "Load before the first run": f"{os.getloadavg()[0]:.2f}",
    }


def versions(contenders: list[Contender]) -> dict[str, str]:
    """Of Python, of what the contenders need, and of Java where one of them is Spark."""
    packages = dict.fromkeys(name for contender in contenders for name in contender.packages)
    found = {"Python": platform.python_version()} | {name: _version(name) for name in packages}
    return found | ({"Java": java_version()} if "pyspark" in packages else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.release()}"
