"""Machine code: it stands alone, it is the right one, and whoever finds it needs no compiler."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.native import calling, keeping
from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.keeping import SOURCES, code_in, file_of, folders, shipped_name
from lake_pipeline.convert.native.obtaining import kept_or_compiled, to_ship
from lake_pipeline.convert.native.processors import Processor, processors, this_processor
from lake_pipeline.convert.shred.shredder import shred

REPOSITORY = Path(__file__).parents[2]
PACKAGE = "lake_pipeline.convert.native"
KEEPING = f"from {PACKAGE}.keeping import *; from {PACKAGE}.processors import this_processor\n"
CALL = f"from {PACKAGE}.calling import call; print(call('nearest_double', 5, -1) == 0x3FE0000000000000)"


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with what the machine code is made of and nothing that was compiled."""
    for part in ("__init__.py", "errors.py", "convert/__init__.py"):
        (tmp_path / "lake_pipeline/convert").mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "lake_pipeline" / part, tmp_path / "lake_pipeline" / part)
    into = tmp_path / "lake_pipeline/convert/native"
    shutil.copytree(
        REPOSITORY / "lake_pipeline/convert/native", into, ignore=shutil.ignore_patterns("__pycache__", "shipped")
    )
    return tmp_path


def start(code: str, *, where: Path, home: Path | None = None) -> subprocess.Popen[str]:
    """A Python that imports from `where` and owns no other cache than below `home`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "PYTHONPATH")}
    folder = where if where.is_dir() else where.parent
    (folder / "temporary").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env={**kept, "PYTHONPATH": str(where), "HOME": str(home or folder), "TMPDIR": str(folder / "temporary")},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(code: str, *, where: Path, home: Path | None = None) -> str:
    running = start(code, where=where, home=home)
    out, error = running.communicate()
    assert running.returncode == 0, error
    return out.strip()


def test_a_process_that_finds_machine_code_imports_no_compiler(tmp_path: Path) -> None:
    kept_or_compiled(this_processor())
    code = f"""
import sys
from pathlib import Path
from lake_pipeline_tests.factories import LakeOnDisk, ndjson
lake = LakeOnDisk(Path({str(tmp_path)!r}))
converted = lake.convert({{"a.json": ndjson({{"event_time": "2026-02-13T10:00:00Z", "mode": "live", "n": 0.25}})}})
print(len(converted.rows()), "numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "False"], done.stderr


def test_two_processes_compile_at_once_and_a_file_that_was_cut_short_is_made_anew(alone: Path) -> None:
    """Of all functions the one that `CALL` calls is compiled: it takes two seconds and not fifteen."""
    one = {name: functions for name, functions in FUNCTIONS.items() if "nearest_double" in functions}
    (alone / "lake_pipeline/convert/native/functions.py").write_text(f"FUNCTIONS = {one}\nPREFIX = {PREFIX!r}\n")
    name = said(KEEPING + "print(cached_name(this_processor()))", where=alone)
    folder = alone / "lake_pipeline/convert/native/__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(_kept_here()[:-1])
    running = [start(CALL, where=alone) for _ in range(2)]
    for each in running:
        out, error = each.communicate()
        assert (each.returncode, out.strip()) == (0, "True"), error
        assert "Compiling" in error
    assert [path.name for path in folder.glob("*.o*")] == [name]
    assert keeping._is_whole((folder / name).read_bytes())


def _kept_here() -> bytes:
    kept_or_compiled(this_processor())
    file = file_of(this_processor())
    assert file is not None
    return file


@pytest.mark.parametrize("at", [0, 20, 2000, -1])
def test_a_file_with_a_byte_that_changed_is_never_loaded(alone: Path, at: int) -> None:
    damaged = bytearray(_kept_here())
    damaged[at] ^= 1
    shipped = alone / "lake_pipeline/convert/native/shipped"
    shipped.mkdir()
    (shipped / shipped_name(this_processor())).write_bytes(damaged)
    assert said(KEEPING + "print(file_of(this_processor()))", where=alone) == "None"


@pytest.mark.parametrize("source", ["source/values.py", "source/words.py", "layout.py", "compiling.py"])
def test_a_byte_of_the_source_changes_the_name(alone: Path, source: str) -> None:
    file = alone / "lake_pipeline/convert/native" / source
    file.write_bytes(file.read_bytes() + b"\n")
    assert said(KEEPING + "print(shipped_name(this_processor()))", where=alone) != shipped_name(this_processor())


def test_the_name_covers_all_that_machine_code_is_made_of() -> None:
    looks = (
        "import sys; from importlib import import_module\n"
        f"from {PACKAGE}.compiling import FUNCTIONS\n"
        f"for each in FUNCTIONS: import_module('{PACKAGE}.source.' + each)\n"
        "print(*[name for name in sys.modules if name.startswith('lake_pipeline')])\n"
    )
    imported = set(said(looks, where=REPOSITORY).split())
    named = {f"{PACKAGE}.{source.removesuffix('.py').replace('/', '.')}" for source in SOURCES}
    around = {"lake_pipeline", "lake_pipeline.convert", PACKAGE}
    assert imported - around == {name.removesuffix(".__init__") for name in named}


@pytest.mark.skipif(sys.platform != "linux", reason="object files have another form elsewhere")
def test_the_machine_code_needs_nothing_but_what_every_process_has() -> None:
    for file in to_ship().values():
        assert _undefined(code_in(file)) <= {"memset", "memcpy", "memmove"}


def _undefined(code: bytes) -> set[str]:
    """The symbols that an ELF object of 64 bits asks for."""
    assert code[:5] == b"\x7fELF\x02"
    (first,), (size, count) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, first + size * number) for number in range(count)]
    (symbols,) = [section for section in sections if section[1] == 2]
    names = sections[symbols[6]][4]
    found = [struct.unpack_from("<IBBHQQ", code, at) for at in range(symbols[4], symbols[4] + symbols[5], 24)]
    texts = [code[names + each[0] : code.index(b"\0", names + each[0])].decode() for each in found if not each[3]]
    assert len(found) > 10
    return {text for text in texts if text}


@pytest.mark.parametrize("processor", processors(), ids=lambda each: each.name)
def test_code_for_each_processor_reads_the_same(monkeypatch: pytest.MonkeyPatch, processor: Processor) -> None:
    if processor not in processors()[processors().index(this_processor()) :]:
        pytest.skip("this machine can't run it")
    code = code_in(to_ship()[shipped_name(processor)])
    monkeypatch.setattr(calling, "_code", calling._Code(code, processor))
    kinds = {"s": Shape(Kind.STRING), "d": Shape(Kind.DOUBLE), "l": Shape(Kind.LIST, item=Shape(Kind.INT))}
    lines = [
        b'{"s":"' + b"x" * 70 + b'\\u00fc\\n", "d": -1.7976931348623157e308, "l": [1, -2, 123456789012345678]}',
        b'{"s": null, "d": 0.1, "l": []}', b'{"s": 1}',
    ]  # fmt: skip
    found = shred(b"\n".join(lines) + b"\n", 3, Contract(0, Shape(Kind.STRUCT, kinds)))
    assert found.table(np.arange(2)).to_pylist() == [
        {"s": "x" * 70 + "ü\n", "d": -1.7976931348623157e308, "l": [1, -2, 123456789012345678]},
        {"s": None, "d": 0.1, "l": []},
    ]
    assert found.aside.tolist() == [2]


def test_what_is_shipped_in_a_zip_is_used_there(alone: Path) -> None:
    """As Glue has it: no compiler runs, and nothing is written."""
    archive = alone / "package.zip"
    with zipfile.ZipFile(archive, "w") as into:
        for path in (alone / "lake_pipeline").rglob("*.py"):
            into.write(path, path.relative_to(alone))
        for name, content in to_ship().items():
            into.writestr(f"lake_pipeline/convert/native/shipped/{name}", content)
    home = alone / "home"
    assert said(CALL, where=archive, home=home) == "True"
    assert not home.exists()


def test_machine_code_is_kept_where_this_user_alone_can_write(alone: Path) -> None:
    """From a zip, which nothing can be written beside: the home, and without one the temporary folder."""
    archive = alone / "package.zip"
    with zipfile.ZipFile(archive, "w") as into:
        for path in (alone / "lake_pipeline").rglob("*.py"):
            into.write(path, path.relative_to(alone))
    looks = KEEPING + "print(writable_folder())"
    assert said(looks, where=archive) == str(alone / ".cache/lake_pipeline")
    private = alone / "temporary" / f"lake_pipeline-{os.getuid()}"
    assert said(looks, where=archive, home=Path("/dev/null")) == str(private)
    private.chmod(0o777)
    assert said(looks, where=archive, home=Path("/dev/null")) == "None"


def test_folders_are_looked_at_in_the_order_that_is_told() -> None:
    assert [folder.name[:13] for folder in folders()] == ["__pycache__", "lake_pipeline", "lake_pipeline"]


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="one behind the other"):
        calling.call("survey_lines", np.zeros(4, dtype=np.int64)[::2], 4, np.zeros(2, dtype=np.int64))
