"""The home of a lake on this machine if LAKE_HOME is not set.

It depends on the root and not on the working directory, so that every shell finds the same embedded ledger:

1. beside a root directory: `.lake-NAME`, and `.lake` beside a root that is called `lake`;
2. for a bucket, and if no folder can be created beside the root: `NAME-HASH` in the user's data folder;
3. `./.lake`, where homes were before, if it exists, is the home of this root and no other home of it exists.

A home that exists goes before one that would be created. This module looks at folders; it creates only the note in a
home that says which root it belongs to.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

from lake_pipeline.model.json_document import parse_document
from lake_pipeline.settings.environment import data_folder
from lake_pipeline.settings.value_types import S3Root

OLD_NAME = ".lake"
"""The name of a home below the working directory."""

NOTE = "root.json"
"""In a home: the root it belongs to."""

DEMO_NOTE = "demo_landing_zone.json"
"""In the home of a demo, with the same field."""


def default_home(root: Path | S3Root, endpoint_url: str | None) -> Path:
    """The home of the lake at `root`; it may not exist yet."""
    usual = [*([home_beside(root)] if isinstance(root, Path) else []), home_in_data_folder(root, endpoint_url)]
    for home in usual:
        if os.path.isdir(home):
            return home
    old = old_home(root, endpoint_url)
    if old is not None:
        return old
    return next((home for home in usual[:-1] if _can_be_created(home)), usual[-1])


def home_beside(root: Path) -> Path:
    """The home beside a root directory. A root behind a link has its home beside the directory itself."""
    directory = _real(root)
    name = OLD_NAME if directory.name == "lake" else f"{OLD_NAME}-{directory.name}"
    return directory.parent / name


def home_in_data_folder(root: Path | S3Root, endpoint_url: str | None) -> Path:
    """The home in the user's data folder: the name of bucket or directory, and a hash of the whole root."""
    name = root.bucket if isinstance(root, S3Root) else _real(root).name
    return data_folder() / f"{name or 'root'}-{sha256(root_uri(root, endpoint_url).encode()).hexdigest()[:12]}"


def old_home(root: Path | S3Root, endpoint_url: str | None) -> Path | None:
    """`./.lake` if it exists and is the home of this root.

    Without a note, it belongs to `./lake` if that exists, else to any root: the ledger in it then shows whether it is
    the right one.
    """
    try:
        home = Path.cwd() / OLD_NAME
    except FileNotFoundError:  # the working directory was removed
        return None
    if not os.path.isdir(home):
        return None
    noted = _noted_root(home)
    if noted is None:
        return None if os.path.isdir(home.parent / "lake") else home
    return home if noted == root_uri(root, endpoint_url) else None


def note_root(home: Path, root: Path | S3Root, endpoint_url: str | None) -> None:
    """Write into a home which root it belongs to, unless it says so. A home that can't be written stays as it is."""
    note, draft = home / NOTE, home / f"{NOTE}.{os.getpid()}"
    content = json.dumps({"root": root_uri(root, endpoint_url)}) + "\n"
    try:
        if not note.exists() or note.read_text(encoding="utf-8") != content:
            draft.write_text(content, encoding="utf-8")
            draft.replace(note)
    except OSError:
        return


def root_uri(root: Path | S3Root, endpoint_url: str | None) -> str:
    """The root as text, the same for every spelling of a path; buckets of different services differ."""
    if isinstance(root, Path):
        return str(_real(root))
    return f"{root} at {endpoint_url}" if endpoint_url else str(root)


def _noted_root(home: Path) -> str | None:
    for name in (NOTE, DEMO_NOTE):
        try:
            return str(parse_document((home / name).read_bytes())["root"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _real(path: Path) -> Path:
    """Without links. Unlike `Path.resolve` it never raises; like `os.path.isdir`, which is false if nothing is seen."""
    return Path(os.path.realpath(path))


def _can_be_created(home: Path) -> bool:
    existing = next(parent for parent in home.parents if os.path.exists(parent))
    return os.access(existing, os.W_OK | os.X_OK)
