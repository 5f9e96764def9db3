"""The code of the Glue jobs as it is uploaded: the scripts of `glue/`, and the package as a zip for `--extra-py-files`.

python -m lake_pipeline.provision.bundle FOLDER     what `make glue-bundle` does

What only hosts need (Dagster, commands, provisioning) stays at home. What else must be installed is in the
requirements beside the scripts.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from functools import cache
from pathlib import Path

import lake_pipeline
from lake_pipeline.convert.native.keeping import SHIPPED
from lake_pipeline.convert.native.obtaining import to_ship

BUNDLE = "lake_pipeline.zip"
PROCESSOR = "batch_processor.py"
LISTER = "file_lister.py"

_AT_HOME = frozenset({"cli", "consume", "defs", "definitions.py", "demo_data", "glue", "provision", "dagster.yaml"})
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The oldest that a zip can tell: the same code is the same file, whenever it was checked out."""


@cache
def bundle() -> dict[str, bytes]:
    """Every file by name."""
    scripts = {name: (_scripts() / name).read_bytes() for name in (PROCESSOR, LISTER)}
    return {BUNDLE: _zipped(Path(lake_pipeline.__file__).parent), **scripts}


@cache
def digest() -> str:
    """Names the content of all files together."""
    found = hashlib.sha256()
    for name, content in sorted(bundle().items()):
        found.update(name.encode() + b"\0" + content)
    return found.hexdigest()[:16]


def modules(*, alone: bool = False) -> list[str]:
    """What pip must install for the kernel, pinned; with `alone` also for work with the ledger."""
    names = ["requirements.txt", *(["requirements-alone.txt"] if alone else [])]
    return [line for name in names for line in (_scripts() / name).read_text(encoding="utf-8").split()]


def write_bundle(folder: Path) -> list[Path]:
    """Write every file into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in bundle().items():
        (folder / name).write_bytes(content)
    return [folder / name for name in bundle()]


def _zipped(package: Path) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted((_travelling(package) | _compiled()).items()):
            info = zipfile.ZipInfo(f"{package.name}/{name}", _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return into.getvalue()


def _travelling(package: Path) -> dict[str, bytes]:
    """The files of the package by their place in it."""
    files = {path.relative_to(package): path for path in package.rglob("*") if path.is_file()}
    return {
        inside.as_posix(): path.read_bytes()
        for inside, path in files.items()
        if "__pycache__" not in inside.parts and inside.parts[0] not in _AT_HOME
    }


def _compiled() -> dict[str, bytes]:
    """The machine code of the kernel, where this machine makes what Glue runs: no worker compiles it then (10 s)."""
    return {f"convert/native/{SHIPPED}/{name}": content for name, content in to_ship().items()}


def _scripts() -> Path:
    """Beside the package in a checkout; a wheel carries them in the package."""
    package = Path(lake_pipeline.__file__).parent
    carried = package / "glue"
    return carried if carried.exists() else package.parent / "glue"


if __name__ == "__main__":
    for written in write_bundle(Path(sys.argv[1])):
        print(written)
