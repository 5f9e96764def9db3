"""Markdown: what a reader of GitHub's flavor makes of data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from lake_pipeline.escaping import markdown
from lake_pipeline.escaping.lines import one_line
from lake_pipeline_tests.support.markdown_reader import active, shown, tokens
from lake_pipeline_tests.support.payloads import HONEST, PAYLOADS, unsafe_characters

TEXTS = [
    *PAYLOADS.values(),
    *HONEST,
    "a\\|b|c",
    "`",
    "``",
    "` `",
    "_a_ __b__ *c*",
    "\\",
    "\\`",
    "`a` \\` b`",
    "1. x",
    "a`b",
]


def _cells(source: str) -> Iterator[str]:
    parsed = MarkdownIt("commonmark").enable("table").parse(source)
    for before, token in pairwise(parsed):
        if before.type == "td_open":
            yield "".join(child.content for child in token.children or [])


@pytest.mark.parametrize("value", TEXTS)
def test_nothing_in_a_value_is_formatted_fetched_or_linked(value: str) -> None:
    for source in (
        markdown.text(value),
        markdown.text(f"The date {value!r} of {value} is wrong"),
        markdown.code(value),
    ):
        assert "\n" not in source
        assert unsafe_characters(source) == set()
        assert active(source) == set()


@pytest.mark.parametrize("value", TEXTS)
def test_a_reader_sees_every_character_of_a_value(value: str) -> None:
    line = one_line(value)
    assert shown(markdown.code(f"x{value}x")) == f"x{line}x"
    seen = shown(f"start {markdown.text(f'x{value}x')}")
    # Code spans of the text are shown without their backticks.
    assert seen.replace("`", "").replace(" ", "") == f"startx{line}x".replace("`", "").replace(" ", "")


@pytest.mark.parametrize("value", TEXTS)
def test_a_cell_ends_where_it_should(value: str) -> None:
    rows = [[markdown.code(value), markdown.text(f"a {value}"), markdown.code("last")]]
    source = markdown.table(("one", "two", "three"), rows)
    assert len(source.splitlines()) == 3
    first, second, last = _cells(source)
    assert first.replace("\\x7c", "\\|").strip() == one_line(value).strip()
    assert second.startswith("a")
    assert last == "last"
    assert active(source) == set()


@pytest.mark.parametrize("value", TEXTS)
def test_a_block_of_code_ends_where_it_should(value: str) -> None:
    [token] = tokens(markdown.block([value, f"+ {value}"], "diff"))
    assert token.type == "fence"
    assert token.content == f"{one_line(value)}\n+ {one_line(value)}\n"


def test_commands_in_a_sentence_stay_code() -> None:
    text = "LAKE_FRESH_HOURS (24). `lake retry --dry-run` says why; fractions are kept in _rescued"
    assert markdown.text(text) == text.replace("in _", "in \\_")


@pytest.mark.parametrize("value", TEXTS)
def test_a_link_leads_where_the_program_says(value: str) -> None:
    source = markdown.link(value, "https://console.aws.amazon.com/s3/object/b?prefix=x%29")
    [link] = [token for token in tokens(source) if token.type == "link_open"]
    assert link.attrs["href"] == "https://console.aws.amazon.com/s3/object/b?prefix=x%29"
    assert active(source) == {"link"}


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x/)b", "https://x y", "data:text/html,x", "https://x/>`"]
)
def test_another_address_is_no_link(url: str) -> None:
    assert markdown.link("name", url) == "`name`"
