"""The account of a manifest, checked before the point of no return.

What is wrong here would be refused by the database afterwards, when it is too late to convert again.
"""

from __future__ import annotations

from collections import Counter

from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest, Outcome


def check_manifest(claim: Claim, manifest: Manifest) -> None:
    """Raises ValueError unless the manifest accounts for each file of the claim once, and for each of its rows."""
    _check_files(claim, manifest)
    _check_parts(manifest)
    _check_stripped(manifest)
    _check_rows(manifest)


def _check_files(claim: Claim, manifest: Manifest) -> None:
    claimed = {file.file_id for file in claim.files}
    told = Counter(file.file_id for file in manifest.files)
    if told.keys() != claimed or len(manifest.files) != len(claimed):
        missing, foreign = sorted(claimed - told.keys()), sorted(told.keys() - claimed)
        twice = sorted(file_id for file_id, times in told.items() if times > 1)
        raise ValueError(
            f"the manifest of batch {claim.batch_id} does not cover exactly its {len(claimed)} files: "
            f"missing {missing[:5]}, not claimed {foreign[:5]}, twice {twice[:5]}"
        )


def _check_parts(manifest: Manifest) -> None:
    keys = Counter(pending.key for pending in manifest.objects)
    for part in manifest.curated:
        if part.rows != sum(part.rows_by_file.values()):
            raise ValueError(
                f"{part.object.key} has {part.rows} rows, its files gave {sum(part.rows_by_file.values())}"
            )
        if keys[part.object.key] > 1:
            raise ValueError(f"two parts of the manifest are called {part.object.key}")
    for rewritten in manifest.rewritten:
        if keys[rewritten.object.key] > 1 or manifest.as_of is None:
            raise ValueError(f"{rewritten.object.key} is rewritten twice, or without a look at what is published")


def _check_stripped(manifest: Manifest) -> None:
    may_go = {*manifest.superseded, *(file.file_id for file in manifest.rebuilt)}
    for part in (*manifest.stripped, *manifest.unquarantined):
        if not part.removed_by_file.keys() <= may_go or (part.object is None) != (part.rows == 0):
            raise ValueError(f"{part.key} loses rows of files that keep theirs, or its {part.rows} rows are nowhere")


def _check_rows(manifest: Manifest) -> None:
    given: Counter[int] = Counter()
    for part in manifest.curated:
        given.update(part.rows_by_file)
    for file in manifest.files:
        rows = given.pop(file.file_id, 0)
        if file.published != rows:
            raise ValueError(f"file {file.file_id} has {rows} rows in the parts, its account says {file.published}")
        if file.published and file.outcome is not Outcome.CONVERTED:
            raise ValueError(f"file {file.file_id} is {file.outcome}, yet {file.published} rows of it are in the parts")
        if not 0 <= file.rescued <= file.published or file.quarantined < 0:
            raise ValueError(f"file {file.file_id} has impossible counts: {file}")
    for file in manifest.rebuilt:
        # Its rows in other partitions stay where they are.
        if given.pop(file.file_id, 0) > file.published:
            raise ValueError(f"the parts hold more rows of file {file.file_id} than it has, {file.published}")
    if +given:
        raise ValueError(f"the parts hold rows of files that the manifest does not account for: {sorted(given)[:5]}")
