"""Scanning for documents: as a walk over each byte finds them, however the text is cut into pieces."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from lake_pipeline.convert.scanning import Scanner
from lake_pipeline_tests.reference import walk

texts = st.text(st.sampled_from('{}[]"\\, x\n'), max_size=60)


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(texts, min_size=1, max_size=4))
def test_documents_are_found_by_their_brackets_in_whatever_pieces_a_text_comes(pieces: list[str]) -> None:
    scanner = Scanner()
    found = [tuple(span) for piece in pieces for span in scanner.feed(piece.encode()).tolist()]
    expected = walk("".join(pieces))
    assert found == expected.documents
    assert (scanner.start, scanner.in_array) == (expected.open_start, expected.in_array)


def test_an_array_is_no_document_but_its_elements_are() -> None:
    text = b'[{"a":[{}]}, [1], 2] {"b":[]} [{"c":"]"}'
    scanner = Scanner()
    assert [text[start:end] for start, end in scanner.feed(text).tolist()] == [
        b'{"a":[{}]}',
        b"[1]",
        b'{"b":[]}',
        b'{"c":"]"}',
    ]
    assert scanner.in_array
    assert scanner.start is None
