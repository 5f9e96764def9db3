"""Compile the kernel: `python -m lake_pipeline.convert.native`.

Without options it compiles for this machine, into the first writable folder of the code cache. The first conversion
does the same; building a container image may do it earlier. With `--into lake_pipeline/convert/native/shipped` it
compiles for every processor of this architecture, to be shipped with the package: then no installation compiles.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lake_pipeline.convert.native.code_cache import NotCompiled, compile_into_cache, files_to_ship
from lake_pipeline.convert.native.processors import processors, this_processor


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="Compile the conversion kernel.")
    parser.add_argument("--all", action="store_true", help="for every processor of this architecture")
    parser.add_argument("--into", type=Path, metavar="DIR", help="for every processor, into DIR, to be shipped")
    arguments = parser.parse_args()
    try:
        if arguments.into is None:
            written = compile_into_cache(processors() if arguments.all else [this_processor()])
        else:
            written = _write(files_to_ship(), arguments.into)
    except NotCompiled as error:
        sys.exit(str(error))
    print(*written, sep="\n")


def _write(files: dict[str, bytes], folder: Path) -> list[Path]:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        # Whatever the umask is: code that a group can change is not loaded.
        (folder / name).chmod(0o644)
    return [folder / name for name in files]


if __name__ == "__main__":
    main()
