"""The code of the Glue jobs as it is uploaded: the scripts of `glue/`, and the package as a zip for `--extra-py-files`.

python -m lake_pipeline.provision.bundle FOLDER     (`make glue-bundle`)

The zip omits what only hosts need (Dagster, commands, provisioning). The requirements files in `glue/` list what else
the job installs.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from functools import cache
from pathlib import Path

import lake_pipeline
from lake_pipeline.convert.native.code_cache import SHIPPED, files_to_ship

BUNDLE = "lake_pipeline.zip"
PROCESSOR = "batch_processor.py"
LISTER = "file_lister.py"

_HOST_ONLY = frozenset({"cli", "consume", "defs", "definitions.py", "demo_data", "glue", "provision", "dagster.yaml"})
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The oldest timestamp of a zip. A constant, so that the same code is the same file."""


@cache
def bundle() -> dict[str, bytes]:
    """Every file by name."""
    scripts = {name: (_scripts() / name).read_bytes() for name in (PROCESSOR, LISTER)}
    return {BUNDLE: _zipped(Path(lake_pipeline.__file__).parent), **scripts}


@cache
def digest() -> str:
    """A hash of all files."""
    content_hash = hashlib.sha256()
    for name, content in sorted(bundle().items()):
        content_hash.update(name.encode() + b"\0" + content)
    return content_hash.hexdigest()[:16]


def modules(*, alone: bool = False) -> list[str]:
    """Pinned requirements of the kernel; with `alone` also those of the ledger."""
    names = ["requirements.txt", *(["requirements-alone.txt"] if alone else [])]
    return [line for name in names for line in (_scripts() / name).read_text(encoding="utf-8").split()]


def write_bundle(folder: Path) -> list[Path]:
    """Write every file into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in bundle().items():
        (folder / name).write_bytes(content)
    return [folder / name for name in bundle()]


def _zipped(package: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted((_package_files(package) | _compiled()).items()):
            info = zipfile.ZipInfo(f"{package.name}/{name}", _TIMESTAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def _package_files(package: Path) -> dict[str, bytes]:
    """The files of the package by their path in it."""
    files = {path.relative_to(package): path for path in package.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in files.items()
        if "__pycache__" not in name.parts and name.parts[0] not in _HOST_ONLY
    }


def _compiled() -> dict[str, bytes]:
    """Machine code of the kernel, if this machine can compile it for Glue, so that no worker has to (10 s)."""
    return {f"convert/native/{SHIPPED}/{name}": content for name, content in files_to_ship().items()}


def _scripts() -> Path:
    """The folder `glue`: next to the package in a checkout, in the package in a wheel."""
    package = Path(lake_pipeline.__file__).parent
    packaged = package / "glue"
    return packaged if packaged.exists() else package.parent / "glue"


if __name__ == "__main__":
    for written in write_bundle(Path(sys.argv[1])):
        print(written)
