"""Machine code: it is self-contained and current, and a process that finds it needs no compiler."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.native import call as native
from lake_pipeline.convert.native import code_cache, compile_lock, environment, layout
from lake_pipeline.convert.native.code_cache import (
    SOURCES,
    cache_folders,
    cached_file,
    files_to_ship,
    machine_code,
    object_file,
    shipped_name,
)
from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.processors import Processor, processors, this_processor
from lake_pipeline.convert.parse.fast.parser import parse_fast
from lake_pipeline_tests.support.repository import REPOSITORY

# Compiles in processes of its own.
pytestmark = pytest.mark.slow

PACKAGE = "lake_pipeline.convert.native"
CACHE = f"from {PACKAGE}.code_cache import *; from {PACKAGE}.processors import this_processor\n"
CALL = f"from {PACKAGE}.call import call; print(call('nearest_double', 5, -1) == 0x3FE0000000000000)"


@pytest.fixture
def uncompiled(tmp_path: Path) -> Path:
    """A folder with the source of the machine code and nothing that was compiled."""
    for part in ("__init__.py", "errors.py", "convert/__init__.py"):
        (tmp_path / "lake_pipeline/convert").mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "lake_pipeline" / part, tmp_path / "lake_pipeline" / part)
    for package in ("escaping", "model"):
        shutil.copytree(REPOSITORY / "lake_pipeline" / package, tmp_path / "lake_pipeline" / package)
    target = tmp_path / "lake_pipeline/convert/native"
    shutil.copytree(
        REPOSITORY / "lake_pipeline/convert/native", target, ignore=shutil.ignore_patterns("__pycache__", "shipped")
    )
    return tmp_path


def start(code: str, *, source: Path, home: Path | None = None) -> subprocess.Popen[str]:
    """A Python process that imports from `source` and has no other cache than below `home`."""
    variables = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "PYTHONPATH")}
    folder = source if source.is_dir() else source.parent
    (folder / "temporary").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env={**variables, "PYTHONPATH": str(source), "HOME": str(home or folder), "TMPDIR": str(folder / "temporary")},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(code: str, *, source: Path, home: Path | None = None) -> str:
    process = start(code, source=source, home=home)
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out.strip()


def test_a_process_that_finds_machine_code_imports_no_compiler(tmp_path: Path) -> None:
    machine_code(this_processor())
    code = f"""
import sys
from pathlib import Path
from lake_pipeline_tests.support.factories import LakeOnDisk, ndjson
lake = LakeOnDisk(Path({str(tmp_path)!r}))
converted = lake.convert({{"a.json": ndjson({{"event_time": "2026-02-13T10:00:00Z", "mode": "live", "n": 0.25}})}})
print(len(converted.rows()), "numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "False"], done.stderr


def with_one_function(source: Path) -> Path:
    """Only the function that `CALL` calls is compiled: that takes two seconds instead of fifteen.

    Returns the file that gets a line for each compilation.
    """
    one = {name: functions for name, functions in FUNCTIONS.items() if "nearest_double" in functions}
    (source / "lake_pipeline/convert/native/functions.py").write_text(f"FUNCTIONS = {one}\nPREFIX = {PREFIX!r}\n")
    compilations = source / "compilations"
    compiler = source / "lake_pipeline/convert/native/compiler.py"
    start = "def main() -> None:\n"
    count = f"    with open({str(compilations)!r}, 'a') as file: file.write('compiled\\n')\n"
    assert start in compiler.read_text()
    compiler.write_text(compiler.read_text().replace(start, start + count))
    return compilations


def test_of_three_processes_that_start_at_once_one_compiles_and_replaces_a_truncated_file(uncompiled: Path) -> None:
    compilations = with_one_function(uncompiled)
    name = output(CACHE + "print(cached_name(this_processor()))", source=uncompiled)
    folder = uncompiled / "lake_pipeline/convert/native/__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(valid_file()[:-1])
    processes = [start(CALL, source=uncompiled) for _ in range(3)]
    errors = ""
    for process in processes:
        out, error = process.communicate()
        assert (process.returncode, out.strip()) == (0, "True"), error
        assert len(error.splitlines()) <= 1, error
        errors += error
    assert compilations.read_text().splitlines() == ["compiled"]
    assert errors.count("Compiling the conversion kernel") == 1
    others = {path.name for path in folder.iterdir() if path.suffix != ".pyc"}
    assert others == {name, compile_lock.LOCK_FILE}
    assert code_cache._is_valid((folder / name).read_bytes())


def test_a_waiting_process_logs_one_line_and_finds_the_code_of_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "writable_folder", lambda: tmp_path)
    cached: list[bytes] = []
    monkeypatch.setattr(code_cache, "cached_file", lambda _: cached[0] if cached else None)
    monkeypatch.setattr(code_cache, "compile_into_cache", lambda _: pytest.fail("compiled although another did"))
    with ThreadPoolExecutor(1) as thread:
        with compile_lock.compile_lock(tmp_path):
            code = thread.submit(machine_code, this_processor())
            while not caplog.messages:
                time.sleep(0.01)
            cached.append(code_cache._MAGIC + bytes(code_cache._DIGEST_BYTES) + b"code")
        assert code.result() == b"code"
    assert caplog.messages == ["Another process is compiling the conversion kernel; waiting for it."]


def test_without_a_working_lock_or_after_a_long_wait_the_caller_compiles_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with compile_lock.compile_lock(None), compile_lock.compile_lock(tmp_path / "missing"):
        pass
    with compile_lock.compile_lock(tmp_path), compile_lock.compile_lock(tmp_path, max_wait=0.2):
        assert len(caplog.messages) == 1

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with compile_lock.compile_lock(tmp_path), compile_lock.compile_lock(tmp_path):
        assert len(caplog.messages) == 1


def valid_file() -> bytes:
    machine_code(this_processor())
    file = cached_file(this_processor())
    assert file is not None
    return file


@pytest.mark.parametrize("offset", [0, 20, 2000, -1])
def test_a_file_with_a_changed_byte_is_never_loaded(uncompiled: Path, offset: int) -> None:
    damaged = bytearray(valid_file())
    damaged[offset] ^= 1
    shipped = uncompiled / "lake_pipeline/convert/native/shipped"
    shipped.mkdir()
    (shipped / shipped_name(this_processor())).write_bytes(damaged)
    assert output(CACHE + "print(cached_file(this_processor()))", source=uncompiled) == "None"


def test_code_that_another_user_can_change_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor, package, cache = this_processor(), tmp_path / "package", tmp_path / "cache"
    content = valid_file()
    files = (package / code_cache.SHIPPED / shipped_name(processor), cache / code_cache.cached_name(processor))
    monkeypatch.setattr(code_cache, "__file__", str(package / "code_cache.py"))
    monkeypatch.setattr(code_cache, "cache_folders", lambda: iter([cache]))
    monkeypatch.setattr(code_cache, "_read", lambda name: (package / name).read_bytes())
    monkeypatch.setattr(code_cache, "shipped_name", lambda _: files[0].name)
    monkeypatch.setattr(code_cache, "cached_name", lambda _: files[1].name)
    for file in files:
        assert cached_file(processor) is None
        code_cache.write_file(object_file(content), file)
        for path in (file, file.parent, tmp_path):
            mode = path.stat().st_mode
            assert cached_file(processor) == content
            path.chmod(mode | 0o002)
            assert cached_file(processor) is None
            path.chmod(mode)
        file.unlink()


def test_code_is_stored_readable_by_all_and_writable_by_its_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = code_cache.write_file(b"code", tmp_path / "cache" / "code.o")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("source", ["source/json_values.py", "source/intrinsics.py", "layout.py", "compiler.py"])
def test_a_changed_byte_of_the_source_changes_the_name(uncompiled: Path, source: str) -> None:
    file = uncompiled / "lake_pipeline/convert/native" / source
    file.write_bytes(file.read_bytes() + b"\n")
    assert output(CACHE + "print(shipped_name(this_processor()))", source=uncompiled) != shipped_name(this_processor())


def test_the_name_covers_everything_that_machine_code_is_made_from() -> None:
    code = (
        "import sys; from importlib import import_module\n"
        f"from {PACKAGE}.compiler import FUNCTIONS\n"
        f"for source in FUNCTIONS: import_module('{PACKAGE}.source.' + source)\n"
        "print(*[name for name in sys.modules if name.startswith('lake_pipeline')])\n"
    )
    imported = set(output(code, source=REPOSITORY).split())
    named = {f"{PACKAGE}.{source.removesuffix('.py').replace('/', '.')}" for source in SOURCES}
    parents = {"lake_pipeline", "lake_pipeline.convert", PACKAGE}
    assert imported - parents == {name.removesuffix(".__init__") for name in named}


@pytest.mark.skipif(sys.platform != "linux", reason="object files have another format on other systems")
def test_the_machine_code_needs_only_what_every_process_has() -> None:
    for file in files_to_ship().values():
        assert undefined_symbols(object_file(file)) <= {"memset", "memcpy", "memmove"}


def undefined_symbols(code: bytes) -> set[str]:
    """The symbols that a 64-bit ELF object needs from elsewhere."""
    assert code[:5] == b"\x7fELF\x02"
    (first,), (size, count) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, first + size * number) for number in range(count)]
    (table,) = [section for section in sections if section[1] == 2]
    names = sections[table[6]][4]
    symbols = [struct.unpack_from("<IBBHQQ", code, at) for at in range(table[4], table[4] + table[5], 24)]
    assert len(symbols) > 10
    undefined = [symbol for symbol in symbols if not symbol[3]]
    return {code[names + symbol[0] : code.index(b"\0", names + symbol[0])].decode() for symbol in undefined} - {""}


@pytest.mark.parametrize("processor", processors(), ids=lambda processor: processor.name)
def test_code_for_each_processor_reads_the_same(monkeypatch: pytest.MonkeyPatch, processor: Processor) -> None:
    if processor not in processors()[processors().index(this_processor()) :]:
        pytest.skip("this machine can't run it")
    code = object_file(files_to_ship()[shipped_name(processor)])
    monkeypatch.setattr(native, "_code", native._Code(code, processor))
    fields = {"s": Shape(Kind.STRING), "d": Shape(Kind.DOUBLE), "l": Shape(Kind.LIST, item=Shape(Kind.INT))}
    lines = [
        b'{"s":"' + b"x" * 70 + b'\\u00fc\\n", "d": -1.7976931348623157e308, "l": [1, -2, 123456789012345678]}',
        b'{"s": null, "d": 0.1, "l": []}', b'{"s": 1}',
    ]  # fmt: skip
    result = parse_fast(b"\n".join(lines) + b"\n", 3, Contract(0, Shape(Kind.STRUCT, fields)))
    assert result.table(np.arange(2)).to_pylist() == [
        {"s": "x" * 70 + "ü\n", "d": -1.7976931348623157e308, "l": [1, -2, 123456789012345678]},
        {"s": None, "d": 0.1, "l": []},
    ]
    assert result.rejected.tolist() == [2]


def test_code_that_is_shipped_in_a_zip_is_used_from_there(uncompiled: Path) -> None:
    """As on Glue: no compiler runs, and nothing is written."""
    archive = uncompiled / "package.zip"
    with zipfile.ZipFile(archive, "w") as package:
        for path in (uncompiled / "lake_pipeline").rglob("*.py"):
            package.write(path, path.relative_to(uncompiled))
        for name, content in files_to_ship().items():
            package.writestr(f"lake_pipeline/convert/native/shipped/{name}", content)
    home = uncompiled / "home"
    assert output(CALL, source=archive, home=home) == "True"
    assert not home.exists()


def test_machine_code_is_only_stored_in_folders_that_no_other_user_can_write_to(uncompiled: Path) -> None:
    """A package in a zip has no folder to write to: then the home, and without one the temporary folder."""
    archive = uncompiled / "package.zip"
    with zipfile.ZipFile(archive, "w") as package:
        for path in (uncompiled / "lake_pipeline").rglob("*.py"):
            package.write(path, path.relative_to(uncompiled))
    code = CACHE + "print(writable_folder())"
    assert output(code, source=archive) == str(uncompiled / ".cache/lake_pipeline")
    private = uncompiled / "temporary" / f"lake_pipeline-{os.getuid()}"
    assert output(code, source=archive, home=Path("/dev/null")) == str(private)
    private.chmod(0o777)
    assert output(code, source=archive, home=Path("/dev/null")) == "None"


def test_cache_folders_have_the_documented_order() -> None:
    assert [folder.name[:13] for folder in cache_folders()] == ["__pycache__", "lake_pipeline", "lake_pipeline"]


def test_the_compiler_ignores_the_numba_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    variables = environment.compiler_environment()
    assert {name: value for name, value in variables.items() if name.startswith("NUMBA_")} == {"NUMBA_OPT": "0"}
    assert variables["LD_LIBRARY_PATH"] == "/somewhere"
    assert os.environ["NUMBA_DISABLE_JIT"] == "1"


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        native.call("survey_lines", np.zeros(4, dtype=np.int64)[::2], 4, np.zeros(2, dtype=np.int64))


def test_a_node_fills_one_cache_line() -> None:
    assert 8 * len(layout.NODE) == 64


def test_constants_of_the_layout_are_the_positions_of_fields() -> None:
    rows = [row for row in vars(layout).values() if hasattr(row, "_fields") and not isinstance(row, type)]
    tables = [row for row in rows if row is not layout.SCRATCH]
    assert len(tables) == 13
    assert all(list(row) == list(range(len(row))) for row in tables)
