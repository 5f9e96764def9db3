"""Checks of a manifest's account, before the point of no return.

The database would reject a wrong account only after that point, when it is too late to convert again.
"""

from __future__ import annotations

from collections import Counter

from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest, Outcome


def check_manifest(claim: Claim, manifest: Manifest) -> None:
    """Raises ValueError unless the manifest accounts for each file of the claim once, and for each of its rows."""
    _check_files(claim, manifest)
    _check_parts(manifest)
    _check_reduced(manifest)
    _check_rows(manifest)


def _check_files(claim: Claim, manifest: Manifest) -> None:
    claimed = {file.file_id for file in claim.files}
    listed = Counter(file.file_id for file in manifest.files)
    if listed.keys() != claimed or len(manifest.files) != len(claimed):
        missing, foreign = sorted(claimed - listed.keys()), sorted(listed.keys() - claimed)
        twice = sorted(file_id for file_id, times in listed.items() if times > 1)
        raise ValueError(
            f"the manifest of batch {claim.batch_id} does not cover exactly its {len(claimed)} files: "
            f"missing {missing[:5]}, not claimed {foreign[:5]}, twice {twice[:5]}"
        )


def _check_parts(manifest: Manifest) -> None:
    keys = Counter(pending.key for pending in manifest.objects)
    for part in manifest.curated:
        if part.rows != sum(part.rows_by_file.values()):
            raise ValueError(
                f"{part.object.key} has {part.rows} rows, its files account for {sum(part.rows_by_file.values())}"
            )
        if keys[part.object.key] > 1:
            raise ValueError(f"two parts of the manifest have the key {part.object.key}")
    for rewritten in manifest.rewritten:
        if keys[rewritten.object.key] > 1 or manifest.as_of is None:
            raise ValueError(f"{rewritten.object.key} is rewritten twice, or `as_of` is missing")


def _check_reduced(manifest: Manifest) -> None:
    removable = {*manifest.superseded, *(file.file_id for file in manifest.rebuilt)}
    for part in (*manifest.reduced, *manifest.reduced_quarantine):
        if not part.removed_by_file.keys() <= removable or (part.object is None) != (part.rows == 0):
            raise ValueError(f"{part.key} loses rows of files that keep theirs, or its {part.rows} rows have no object")


def _check_rows(manifest: Manifest) -> None:
    rows_in_parts: Counter[int] = Counter()
    for part in manifest.curated:
        rows_in_parts.update(part.rows_by_file)
    for file in manifest.files:
        rows = rows_in_parts.pop(file.file_id, 0)
        if file.published != rows:
            raise ValueError(f"file {file.file_id} has {rows} rows in the parts, but {file.published} in its account")
        if file.published and file.outcome is not Outcome.CONVERTED:
            raise ValueError(f"file {file.file_id} is {file.outcome}, but {file.published} rows of it are in the parts")
        if not 0 <= file.rescued <= file.published or file.quarantined < 0:
            raise ValueError(f"file {file.file_id} has impossible counts: {file}")
    for file in manifest.rebuilt:
        # Its rows in other partitions are not in the parts.
        if rows_in_parts.pop(file.file_id, 0) > file.published:
            raise ValueError(f"the parts have more rows of file {file.file_id} than its account, {file.published}")
    if +rows_in_parts:
        raise ValueError(f"the parts have rows of files that have no account: {sorted(rows_in_parts)[:5]}")
