"""Obtaining machine code: what is kept, else what a compiler makes of the source in a process of its own.

That process gives back what a compiler takes (200 MB), holds no lock of this one, and leaves numba as it was here.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from lake_pipeline.convert.native.keeping import code_in, file_of, shipped_name
from lake_pipeline.convert.native.processors import Processor, processors
from lake_pipeline.errors import TransientError

log = logging.getLogger(__name__)

_LOST = "The conversion kernel was compiled and can't be read back; is the disk full? Try again."


class NotCompiled(TransientError):
    """The machine code can't be made on this machine. Nothing is wrong with the files that were to be converted."""


def kept_or_compiled(processor: Processor) -> bytes:
    """The object file for `processor`, this machine's. Raises `NotCompiled`."""
    file = file_of(processor)
    if file is None:
        # A warning, because ten seconds without a word look like something that hangs.
        log.warning("Compiling the conversion kernel for this machine, once; it takes about ten seconds.")
        _compile()
        file = file_of(processor)
    if file is None:
        raise NotCompiled(_LOST)
    return code_in(file)


def to_ship() -> dict[str, bytes]:
    """Files by name, for every processor of this architecture: what belongs into the folder `SHIPPED` of this package
    where it travels to other machines. Raises `NotCompiled`."""
    files = _shippable()
    if None in files.values():
        _compile("--all")
        files = _shippable()
    found = {name: file for name, file in files.items() if file is not None}
    if len(found) < len(files):
        raise NotCompiled(_LOST)
    return found


def _shippable() -> dict[str, bytes | None]:
    return {shipped_name(each): file_of(each) for each in processors()}


def _compile(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", __package__, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotCompiled(
            f"The conversion kernel can't be compiled on this machine. `{sys.executable} -m {__package__}` said: "
            f"{(done.stderr.strip() or done.stdout.strip() or f'exit status {done.returncode}')[-2000:]}"
        )
