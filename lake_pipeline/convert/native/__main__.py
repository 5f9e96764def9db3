"""Compile the kernel: `python -m lake_pipeline.convert.native`.

As it is, for this machine, into the first folder that can be written (see `keeping`): what the first conversion does by
itself, and what building the image of a container may do before. With `--into lake_pipeline/convert/native/shipped`,
for every processor of this architecture, to travel with the package: nothing is compiled where it is installed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lake_pipeline.convert.native.keeping import cached_name, folders, keep, writable_folder
from lake_pipeline.convert.native.obtaining import to_ship
from lake_pipeline.convert.native.processors import Processor, processors, this_processor


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="Compile the conversion kernel.")
    parser.add_argument("--all", action="store_true", help="for every processor of this architecture")
    parser.add_argument("--into", type=Path, metavar="DIR", help="the same, written there to be shipped")
    arguments = parser.parse_args()
    if arguments.into is None:
        written = _compile(processors() if arguments.all else (this_processor(),))
    else:
        written = _write(to_ship(), arguments.into)
    print(*written, sep="\n")


def _write(files: dict[str, bytes], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def _compile(wanted: Sequence[Processor]) -> list[Path]:
    # numba reads its settings when it is imported: none but that functions are left as they come (see `compiling`).
    for name in [name for name in os.environ if name.startswith("NUMBA_")]:
        del os.environ[name]
    os.environ["NUMBA_OPT"] = "0"
    from lake_pipeline.convert.native.compiling import object_file, translated

    folder = writable_folder()
    if folder is None:
        sys.exit(f"None of these folders can be written: {', '.join(map(str, folders()))}.")
    whole = translated()
    return [keep(object_file(whole, each), folder / cached_name(each)) for each in wanted]


if __name__ == "__main__":
    main()
