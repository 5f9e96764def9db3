"""The default home: it depends on the root, and existing homes are found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lake_pipeline.settings import load_settings
from lake_pipeline.settings.home import home_beside, note_root


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, a data folder, and an empty working directory."""
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    go(tmp_path / "work", monkeypatch)


def go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)


def home(root: Path | str, **settings: object) -> Path:
    return load_settings(root=root, **settings).storage.home


@pytest.mark.parametrize("root", ["directory", "s3://bucket/prefix"])
def test_two_working_directories_have_the_same_home(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = str(tmp_path / root) if root == "directory" else root
    first = home(location)
    go(tmp_path / "elsewhere", monkeypatch)
    assert home(location) == first
    first.mkdir(parents=True)
    assert home(location) == first


def test_the_home_of_a_directory_is_beside_it(tmp_path: Path) -> None:
    assert home(tmp_path / "orders") == tmp_path / ".lake-orders"
    assert home("lake") == Path.cwd() / ".lake"
    (tmp_path / "link").symlink_to(tmp_path / "volume/orders")
    assert home(tmp_path / "link") == tmp_path / "volume/.lake-orders"


def test_buckets_prefixes_and_services_have_different_homes(tmp_path: Path) -> None:
    homes = {
        home("s3://bucket"),
        home("s3://bucket/a"),
        home("s3://bucket/b"),
        home("s3://bucket", s3_endpoint_url="http://minio:9000"),
    }
    assert len(homes) == 4
    assert {folder.parent for folder in homes} == {tmp_path / "data/lake_pipeline"}


def test_a_root_whose_parent_is_read_only_has_its_home_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / ".lake-volume"
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    assert home(tmp_path / "volume").parent == tmp_path / "data/lake_pipeline"
    beside.mkdir()
    assert home(tmp_path / "volume") == beside


def test_an_old_home_in_the_working_directory_is_found_by_its_note(tmp_path: Path) -> None:
    old = Path.cwd() / ".lake"
    old.mkdir()
    note_root(old, tmp_path / "orders", None)
    storage = load_settings(root=tmp_path / "orders").storage
    assert storage.home == old
    assert storage.home_origin == f"found in the working directory; set LAKE_HOME={old} to use it in other directories"
    assert home(tmp_path / "others") == tmp_path / ".lake-others"
    assert home("s3://bucket").parent == tmp_path / "data/lake_pipeline"


def test_an_old_home_without_a_note_belongs_to_the_lake_beside_it(tmp_path: Path) -> None:
    old = Path.cwd() / ".lake"
    old.mkdir()
    assert home(tmp_path / "orders") == old
    (Path.cwd() / "lake").mkdir()
    assert home(tmp_path / "orders") == tmp_path / ".lake-orders"
    assert load_settings().storage.home_origin == "beside the root"
    (old / "demo_landing_zone.json").write_text(json.dumps({"root": str(tmp_path / "orders")}))
    assert home(tmp_path / "orders") == old


def test_an_old_home_is_not_used_if_the_usual_one_exists(tmp_path: Path) -> None:
    old = Path.cwd() / ".lake"
    old.mkdir()
    note_root(old, tmp_path / "orders", None)
    home_beside(tmp_path / "orders").mkdir()
    assert home(tmp_path / "orders") == tmp_path / ".lake-orders"


def test_lake_home_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".lake-orders").mkdir()
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "mine"))
    storage = load_settings(root=tmp_path / "orders").storage
    assert storage.home == tmp_path / "mine"
    assert storage.home_origin == "set by LAKE_HOME"


def test_a_user_without_a_home_directory_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert home("s3://bucket").parent == Path.cwd() / ".lake_pipeline"
