"""Lines of terminals, logs and JSON."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess

import pytest

from lake_pipeline.escaping.chat import chat_message
from lake_pipeline.escaping.lines import json_line, one_line
from lake_pipeline.escaping.log_records import OneLineRecords
from lake_pipeline.escaping.shell import shell_word
from lake_pipeline.escaping.sql import hive_identifier, hive_text
from lake_pipeline_tests.support.payloads import HONEST, PAYLOADS, unsafe_characters


@pytest.mark.parametrize("payload", [*PAYLOADS.values(), "a\udc80b\ud800"], ids=[*PAYLOADS, "surrogates"])
def test_a_line_has_no_character_that_a_terminal_acts_on(payload: str) -> None:
    line = one_line(payload)
    assert "\n" not in line
    assert unsafe_characters(line) == set()
    line.encode("utf-8")


@pytest.mark.parametrize("text", HONEST)
def test_honest_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text
    assert json_line(text) == json.dumps(text, ensure_ascii=False)


def test_escaped_characters_are_shown_as_in_python() -> None:
    assert one_line("a\x1b\n\u202e\U000e0041\udc80") == r"a\x1b\n\u202e\U000e0041\udc80"


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_json_keeps_every_value_and_needs_no_raw_control_character(payload: str) -> None:
    line = json_line({payload: [payload]})
    assert json.loads(line) == {payload: [payload]}
    assert "\n" not in line
    assert unsafe_characters(line) == set()


def _message(name: str, message: object, *arguments: object) -> str:
    make = OneLineRecords(logging.LogRecord)
    return make(name, logging.INFO, "x.py", 1, message, arguments, None).getMessage()


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_record_of_the_project_is_one_line_wherever_the_data_is(payload: str) -> None:
    expected = f"key {one_line(payload)}"
    assert _message("lake_pipeline.usecases.batches", "key %s", payload) == expected
    assert _message("lake_pipeline", f"key {payload}") == expected
    assert _message("lake_pipeline.x", "key %s", ValueError(payload)) == expected


def test_a_record_of_another_package_stays_as_it_is() -> None:
    assert _message("lake_pipelines", "a\nb") == "a\nb"


def test_a_shell_gets_exactly_the_shown_word() -> None:
    words = [*PAYLOADS.values(), *HONEST, "a\udcffb\x85c\udc1bd", "plain-name.json"]
    shown = [shell_word(word) for word in words]
    assert [word for word in shown if unsafe_characters(word) or "\n" in word] == []
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {' '.join(shown)}"], capture_output=True, check=True)
    expected = [word.replace("\udc1b", "") for word in words]
    received = printed.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    assert [word for word in received if word not in words] == ["a\udcffb\x85c\udced\udcb0\udc9bd"]
    assert len(received) == len(expected)


def test_a_plain_word_is_quoted_as_usual() -> None:
    assert shell_word("a b") == shlex.quote("a b")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_identifiers_and_texts_of_sql_end_where_they_should(payload: str) -> None:
    name, text = hive_identifier(payload), hive_text(payload)
    assert "`" not in name[1:-1].replace("``", "")
    assert "'" not in text[1:-1].replace("\\\\", "").replace("\\'", "")
    assert unsafe_characters(name + text) == set()


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_chat_message_shows_data_as_preformatted_text(payload: str) -> None:
    message = chat_message(payload, f"first\nkey {payload}", "https://dagster.example.org/runs/1")
    subject, opening, *body, closing, link = message.split("\n")
    assert (opening, closing, link) == ("```", "```", "https://dagster.example.org/runs/1")
    assert subject == "*" + subject.replace("*", "") + "*"
    assert not any("```" in line or "<" in line or ">" in line for line in body)
    assert unsafe_characters(message) == set()
