"""The process that valgrind checks: it converts mutated inputs and the files of all cases. Outcomes are not compared.

Buffers are exactly as large as requested and freed after use. The reserve that normally makes them reusable would hide
errors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from itertools import islice
from pathlib import Path
from typing import Any


class _WithoutPandas(MetaPathFinder):
    """pyarrow imports pandas if it is installed, which takes a minute under valgrind."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


sys.meta_path.insert(0, _WithoutPandas())

from lake_pipeline.convert.kernel import blocks  # noqa: E402
from lake_pipeline.convert.parquet import buffers  # noqa: E402
from lake_pipeline.convert.parse.fast import arrays  # noqa: E402
from lake_pipeline_tests.cases import all_cases, options_of  # noqa: E402
from lake_pipeline_tests.fuzz.mutations import FIRST, LINES_A_FILE, inputs  # noqa: E402
from lake_pipeline_tests.support.factories import LakeOnDisk, ndjson  # noqa: E402
from lake_pipeline_tests.support.sparse import sparse_records  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, required=True)
    arguments = parser.parse_args()
    arrays._KEPT_SLOTS = buffers._KEPT = -1
    buffers._MAX_SPARE = 0
    cases = all_cases()[: arguments.cases]
    for case in cases:
        convert(case.files, **options_of(case))
    seed, count = arguments.seed, 0
    while count < arguments.inputs:
        # A file with `FIRST` has one input per line; others are mutated as a whole.
        files = dict(islice(inputs(seed).files.items(), -(-(arguments.inputs - count) // LINES_A_FILE)))
        convert(files, max_bad_share=1.0)
        count += sum(LINES_A_FILE if content.startswith(FIRST) else 1 for content in files.values())
        seed += 1
    convert_sparse()
    print(f"{count:,} mutated inputs and {len(cases)} cases")


def convert_sparse() -> None:
    """Sparse records: parsed in pieces, kept by their values, and merged because memory is short."""
    blocks.MAX_SLOTS, blocks.SPARSE_RATIO = 1 << 14, 0
    records = sparse_records(400, types=50)
    convert({"a.json": ndjson(*records[:300]), "b.json": ndjson(*records[300:])}, memory_bytes=1 << 16)


def convert(files: Mapping[str, bytes], **options: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        LakeOnDisk(Path(folder)).convert(files, **options)


if __name__ == "__main__":
    main()
