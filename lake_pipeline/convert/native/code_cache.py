"""The code cache: where machine code is stored, and how it is validated and, if missing, compiled.

It is searched for in this order: shipped with the package (`shipped/`, see `python -m lake_pipeline.convert.native`);
next to the compiled Python of this package; in the cache folder of the user; in the temporary folder. It is compiled
into the first of the last three that is writable.

Machine code runs as this user. So it is loaded only from files that no other user but root can change, which includes
all folders above them.

The name of a file contains the processor and a digest of the source and the system. Code that was compiled on this
machine has the versions of the compiler in its name too, so that another compiler compiles again.

Of several processes that start at once, one compiles and the others wait (`compile_lock`). Compilation happens in a
child process. That frees the 200 MB that a compiler takes, and leaves numba in this process as it was.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import llvmlite

from lake_pipeline.convert.native.compile_lock import compile_lock
from lake_pipeline.convert.native.environment import compiler_environment, user_cache
from lake_pipeline.convert.native.processors import Processor, processors, triple
from lake_pipeline.errors import EngineUnavailable
from lake_pipeline.model.trusted_paths import distrust, is_trusted

log = logging.getLogger(__name__)

SOURCES = (
    "compiler.py", "functions.py", "layout.py", "processors.py", "source/__init__.py", "source/ascii.py",
    "source/dates.py", "source/decorators.py", "source/gather.py", "source/intrinsics.py", "source/json_values.py",
    "source/lines.py", "source/numbers.py", "source/parquet_bounds.py", "source/parquet_chunks.py",
    "source/parquet_dictionaries.py", "source/parquet_levels.py", "source/parquet_pages.py", "source/parquet_plain.py",
    "source/parquet_sparse.py", "source/scan.py",
)  # fmt: skip
"""The files that determine the machine code."""

SHIPPED = "shipped"
"""The folder in this package for machine code that is shipped with it."""

_MAGIC = b"lake kernel 1\n"
_DIGEST_BYTES = 32

_UNREADABLE = "The conversion kernel was compiled but can't be read back; is the disk full? Try again."


class NotCompiled(EngineUnavailable):
    """The machine code can't be compiled on this machine. The files to convert are not the cause."""


def machine_code(processor: Processor) -> bytes:
    """The object file for this machine's `processor`, compiled if needed. Raises `NotCompiled`."""
    file = cached_file(processor)
    if file is None:
        _compile_missing([processor])
        file = cached_file(processor)
    if file is None:
        raise NotCompiled(_UNREADABLE)
    return object_file(file)


def files_to_ship() -> dict[str, bytes]:
    """Files for the folder `SHIPPED`, by name, for every processor of this architecture. Raises `NotCompiled`."""
    _compile_missing(processors())
    files = {shipped_name(processor): cached_file(processor) for processor in processors()}
    complete = {name: file for name, file in files.items() if file is not None}
    if len(complete) < len(files):
        raise NotCompiled(_UNREADABLE)
    return complete


def _compile_missing(targets: Iterable[Processor]) -> None:
    """Compile for each processor without valid code; another process that does so at this time is waited for."""
    missing = _missing(targets)
    if not missing:
        return
    with compile_lock(writable_folder()):
        missing = _missing(missing)
        if missing:
            # A warning, because ten seconds without output look like a hang.
            log.warning("Compiling the conversion kernel, once; it takes about ten seconds.")
            compile_into_cache(missing)


def _missing(targets: Iterable[Processor]) -> list[Processor]:
    return [processor for processor in targets if cached_file(processor) is None]


def compile_into_cache(targets: Iterable[Processor]) -> list[Path]:
    """Compile for each processor, in a child process; returns the files written. Raises `NotCompiled`."""
    folder = writable_folder()
    if folder is None:
        raise NotCompiled(
            "The conversion kernel can't be stored. One of these folders must be writable for this user and, with all "
            f"folders above it, for no other: {', '.join(map(str, cache_folders()))}. Or run "
            f"`{sys.executable} -m {__package__}` as a user who can write to the package."
        )
    files = {processor.name: folder / cached_name(processor) for processor in targets}
    with tempfile.TemporaryDirectory(dir=folder) as output:
        child = subprocess.run(
            [sys.executable, "-P", "-m", f"{__package__}.compiler", output, *files],
            env=compiler_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode:
            error = child.stderr.strip() or child.stdout.strip() or f"exit status {child.returncode}"
            raise NotCompiled(
                f"The conversion kernel can't be compiled on this machine. `{sys.executable} -m {__package__}` failed: "
                f"{error[-2000:]}"
            )
        return [write_file(Path(output, name).read_bytes(), file) for name, file in files.items()]


def cached_file(processor: Processor) -> bytes | None:
    """The first valid file with machine code for `processor`; None if there is none."""
    return next((file for file in _candidates(processor) if _is_valid(file)), None)


def _candidates(processor: Processor) -> Iterator[bytes]:
    with suppress(OSError):
        yield _shipped(shipped_name(processor))
    for folder in cache_folders():
        file = folder / cached_name(processor)
        with suppress(OSError):
            if is_trusted(file):
                yield file.read_bytes()


def _shipped(name: str) -> bytes:
    """A file that is shipped with the package. Raises `OSError` if there is none, or if others can change it."""
    file = Path(__file__).parent / SHIPPED / name
    # In a zip, the file is as trustworthy as the Python code next to it.
    if file.exists() and (reason := distrust(file)):
        raise PermissionError(reason)
    return _read(f"{SHIPPED}/{name}")


def object_file(file: bytes) -> bytes:
    """The object file in a valid file of the cache."""
    return file[len(_MAGIC) + _DIGEST_BYTES :]


def write_file(code: bytes, file: Path) -> Path:
    """Write atomically: several processes may do so at once, and any of them may be killed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_bytes(_MAGIC + sha256(code).digest() + code)
    draft.chmod(0o644)  # whatever the umask is: see `is_trusted`
    return draft.replace(file)


def cache_folders() -> Iterator[Path]:
    """Folders for machine code of this machine, absolute. They may be missing, or not to be trusted."""
    yield Path(__file__).absolute().parent / "__pycache__"
    with suppress(RuntimeError):
        yield user_cache().absolute() / "lake_pipeline"
    yield Path(tempfile.gettempdir()).absolute() / f"lake_pipeline-{os.getuid()}"


def writable_folder() -> Path | None:
    """The first of `cache_folders` that this user can write to and no other can, created if needed."""
    for folder in cache_folders():
        with suppress(OSError):
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK) and is_trusted(folder):
                return folder
    return None


def shipped_name(processor: Processor) -> str:
    """The name of machine code that is shipped with the package."""
    digest = sha256(f"{triple()} {processor.name}".encode())
    for source in SOURCES:
        digest.update(_read(source))
    return f"{processor.name}-{digest.hexdigest()[:20]}.o"


def cached_name(processor: Processor) -> str:
    """The name of machine code that was compiled on this machine."""
    return f"{Path(shipped_name(processor)).stem}-{_compiler_digest()}.o"


def _compiler_digest() -> str:
    """A digest of the compiler's versions. It does not import numba, which would take a quarter of a second."""
    numba = find_spec("numba")
    version = Path(numba.origin).with_name("_version.py").read_bytes() if numba and numba.origin else b""
    return sha256(version + llvmlite.__version__.encode()).hexdigest()[:8]


def _read(name: str) -> bytes:
    """A file of this package, which may be in a zip file."""
    content = pkgutil.get_data(__package__, name)
    if content is None:
        raise FileNotFoundError(name)
    return content


def _is_valid(file: bytes) -> bool:
    return file[: len(_MAGIC) + _DIGEST_BYTES] == _MAGIC + sha256(object_file(file)).digest()
