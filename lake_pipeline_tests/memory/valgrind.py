"""Running a Python module under valgrind's memcheck, and reading its report.

Machine code is loaded into anonymous memory, so its frames belong to no object file. Reports of other code (the dynamic
linker, libraries) are not about this project and are only counted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lake_pipeline_tests.support.repository import REPOSITORY

_OPTIONS = (
    "--tool=memcheck", "--undef-value-errors=no", "--leak-check=no", "--error-limit=no", "--num-callers=12",
    "--child-silent-after-fork=yes", "--xml=yes",
)  # fmt: skip

_ALLOCATORS = {"PYTHONMALLOC": "malloc", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Without these, Python and Arrow divide large blocks themselves, and valgrind can't see where a buffer ends."""

_INVALID = frozenset({"InvalidRead", "InvalidWrite", "InvalidJump"})

_TOP_FRAMES = 2
"""Machine code, or a function such as memcpy that it calls. Deeper frames are guesses without an unwind table."""


@dataclass(frozen=True, kw_only=True)
class InvalidAccess:
    """An invalid read or write. `stack` has the object and function of each frame, the innermost first."""

    description: str
    stack: tuple[str, ...]
    in_machine_code: bool

    def __str__(self) -> str:
        return "\n    ".join([self.description, *self.stack])


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a process: its output, exit status and invalid accesses."""

    output: str
    status: int
    accesses: tuple[InvalidAccess, ...]

    @property
    def in_machine_code(self) -> list[InvalidAccess]:
        return [access for access in self.accesses if access.in_machine_code]


def is_installed() -> bool:
    return shutil.which("valgrind") is not None


def run(module: str, arguments: Sequence[str] = ()) -> Report:
    """Run `python -m module` under valgrind, from the root of the repository."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.xml")
        process = subprocess.run(
            ["valgrind", *_OPTIONS, f"--xml-file={file}", sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            env=os.environ | _ALLOCATORS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        content = file.read_text(errors="replace") if file.exists() else ""
        return Report(output=process.stdout, status=process.returncode, accesses=tuple(invalid_accesses(content)))


def invalid_accesses(report: str) -> Iterator[InvalidAccess]:
    """The invalid accesses in a report in XML, which is incomplete if the process was killed."""
    for text in re.findall(r"<error>.*?</error>", report, re.DOTALL):
        error = ElementTree.fromstring(text)
        if error.findtext("kind") in _INVALID:
            yield _access(error)


def _access(error: ElementTree.Element) -> InvalidAccess:
    # The first stack is that of the access; others show where the memory was allocated.
    frames = error.findall("./stack[1]/frame")
    return InvalidAccess(
        description=" ".join(filter(None, [error.findtext("what"), error.findtext("auxwhat")])),
        stack=tuple(f"{frame.findtext('obj', 'machine code')}: {_function(frame)}" for frame in frames),
        in_machine_code=any(frame.find("obj") is None for frame in frames[:_TOP_FRAMES]),
    )


def _function(frame: ElementTree.Element) -> str:
    return frame.findtext("fn") or frame.findtext("ip") or "?"
