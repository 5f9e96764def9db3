"""Where machine code is kept, and how it is told that it is the right one and whole.

It is looked for, in this order: shipped with the package (`shipped/`, see `python -m lake_pipeline.convert.native`);
beside the compiled Python of this package; in the cache folder of the user; in the temporary folder. It is compiled
into the first of the last three that can be written.

The name of a file says what is in it: for which processor, and a digest of the source and the system. What was
compiled on this machine names the compiler too, so that another one compiles anew; what was shipped needs none.
"""

from __future__ import annotations

import os
import pkgutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import llvmlite

from lake_pipeline.convert.native.processors import Processor, triple

SOURCES = (
    "compiling.py", "functions.py", "layout.py", "processors.py", "source/__init__.py", "source/compiled.py",
    "source/dates.py", "source/gathering.py", "source/lines.py", "source/numbers.py", "source/parquet_bounds.py",
    "source/parquet_chunks.py", "source/parquet_columns.py", "source/parquet_dictionaries.py",
    "source/parquet_pages.py", "source/parquet_walking.py", "source/scan.py", "source/values.py", "source/words.py",
)  # fmt: skip
"""The files that decide what the machine code is."""

SHIPPED = "shipped"
"""The folder in this package for machine code that travels with it."""

_MAGIC = b"lake kernel 1\n"
_DIGEST_BYTES = 32


def file_of(processor: Processor) -> bytes | None:
    """The file with the machine code for `processor`; None where there is none that is right and whole."""
    return next((file for file in _candidates(processor) if _is_whole(file)), None)


def _candidates(processor: Processor) -> Iterator[bytes]:
    with suppress(OSError):
        yield _read(f"{SHIPPED}/{shipped_name(processor)}")
    for folder in folders():
        with suppress(OSError):
            yield (folder / cached_name(processor)).read_bytes()


def code_in(file: bytes) -> bytes:
    """The object file in a file that is whole."""
    return file[len(_MAGIC) + _DIGEST_BYTES :]


def keep(code: bytes, file: Path) -> Path:
    """Several processes may do so at once, and one may die meanwhile: the file comes to its place whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_bytes(_MAGIC + sha256(code).digest() + code)
    return draft.replace(file)


def folders() -> Iterator[Path]:
    """Where machine code of this machine may be kept; those that others could write to are left out."""
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lake_pipeline"
    temporary = Path(tempfile.gettempdir()) / f"lake_pipeline-{os.getuid()}"
    with suppress(OSError):
        temporary.mkdir(mode=0o700, exist_ok=True)
        if _is_private(temporary):
            yield temporary


def writable_folder() -> Path | None:
    """The first of `folders` that can be written, made if needed."""
    for folder in folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


def shipped_name(processor: Processor) -> str:
    """Of the machine code that travels with the package."""
    digest = sha256(f"{triple()} {processor.name}".encode())
    for source in SOURCES:
        digest.update(_read(source))
    return f"{processor.name}-{digest.hexdigest()[:20]}.o"


def cached_name(processor: Processor) -> str:
    """Of the machine code that was compiled on this machine."""
    return f"{Path(shipped_name(processor)).stem}-{_compiler()}.o"


def _compiler() -> str:
    """A digest of the versions. numba is not imported to tell its own, which takes a quarter of a second."""
    numba = find_spec("numba")
    version = Path(numba.origin).with_name("_version.py").read_bytes() if numba and numba.origin else b""
    return sha256(version + llvmlite.__version__.encode()).hexdigest()[:8]


def _read(name: str) -> bytes:
    """A file of this package, which may be in a zip file."""
    content = pkgutil.get_data(__package__, name)
    if content is None:
        raise FileNotFoundError(name)
    return content


def _is_whole(file: bytes) -> bool:
    return file[: len(_MAGIC) + _DIGEST_BYTES] == _MAGIC + sha256(code_in(file)).digest()


def _is_private(folder: Path) -> bool:
    """Whether nobody else can have put anything there: it would run as this user."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
