"""Trusted paths: nobody but this user and root can change what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lake_pipeline.model.trusted_paths import distrust, is_trusted

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir(mode=0o755)
    path.write_text("")
    path.chmod(0o644)
    return path


def test_a_file_that_only_its_owner_can_change_is_trusted(file: Path) -> None:
    assert distrust(file) is None
    assert is_trusted(file.parent)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_can_write_to_is_not_trusted(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert distrust(file) == f"other users can write to {file} (mode {mode:o})"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_above_it_that_others_can_write_to_is_not_trusted(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    assert distrust(file) == f"other users can write to {file.parent} (mode {mode:o})"


def test_a_sticky_folder_is_trusted_above_a_path_but_not_as_the_path(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert is_trusted(file)
    assert not is_trusted(file.parent)


@as_root
@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_belongs_to_another_user_is_not_trusted(file: Path, name: str) -> None:
    path = file if name == "file" else file.parent
    os.chown(path, 65534, 65534)
    assert distrust(file) == f"{path} belongs to another user (uid 65534)"


@as_root
def test_a_link_of_another_user_is_not_trusted(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file.parent)
    assert is_trusted(link / "file")

    os.lchown(link, 65534, 65534)
    assert not is_trusted(link / "file")


def test_every_step_of_a_chain_of_links_is_checked(file: Path, tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "second").symlink_to(file.parent)
    (tmp_path / "first").symlink_to(Path("open/../open/second"))
    assert is_trusted(tmp_path / "first" / "file")

    open_folder.chmod(0o777)
    assert not is_trusted(tmp_path / "first" / "file")


def test_what_is_missing_or_a_loop_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert not is_trusted(tmp_path / "nothing")
    assert "too many symbolic links" in str(distrust(tmp_path / "loop"))
