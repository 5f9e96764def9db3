"""docs/consuming.md and the example do what they say, on the lake of the demo."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from lake_pipeline.cli import main
from lake_pipeline.demo_data import ensure_landing_zone

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def _demo(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's lake, converted."""
    root, home = tmp_path / "lake", tmp_path / "home"
    for name, value in {"ROOT": str(root), "HOME": str(home), "LEDGER_URL": ledger_url}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    ensure_landing_zone(root, home)
    for command in ("discover", "ingest"):
        run(command)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("_demo")
def test_the_page_and_the_example_do_what_they_say(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs/consuming.md").read_text(encoding="utf-8")
    shells = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for line in "".join(shells).splitlines():
        name, *arguments = shlex.split(line)
        assert name == "lake"
        assert run(*arguments), line
    assert len(shells) == 2

    snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    plain, with_torch = snippets[:-1], snippets[-1]
    assert len(plain) == 2
    names: dict[str, object] = {}
    for snippet in plain:
        exec(snippet, names)
    dataset = names["dataset"]
    told = capsys.readouterr().out
    assert "live" in told

    pytest.importorskip("torch", reason="PyTorch is not installed: `make install-torch`")
    # Workers of a loader are forks, and Spark's threads do not survive that; here the loader does without.
    exec(with_torch.replace("num_workers=2", "num_workers=0"), names)
    wanted = sum(batch.num_rows for batch in dataset.batches())  # type: ignore[attr-defined]
    assert int(capsys.readouterr().out) == wanted > 10_000

    score = runpy.run_path(str(REPOSITORY / "examples/train_country.py"))["main"]()
    assert score > 0.9, "guessing gives a fifth"
    assert f"{score:.1%} of the orders" in capsys.readouterr().out
