"""Documents documents by brackets equal those of a byte-by-byte walk, however the text is cut into pieces."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from lake_pipeline.convert.input.brackets import Scanner
from lake_pipeline_tests.support.reference import walk

texts = st.text(st.sampled_from('{}[]"\\, x\n'), max_size=60)


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(texts, min_size=1, max_size=4))
def test_documents_are_found_by_their_brackets_in_pieces_of_any_size(pieces: list[str]) -> None:
    scanner = Scanner()
    documents = [tuple(span) for piece in pieces for span in scanner.feed(piece.encode()).tolist()]
    expected = walk("".join(pieces))
    assert documents == expected.documents
    assert (scanner.start, scanner.in_array) == (expected.open_start, expected.in_array)


def test_the_elements_of_an_array_are_documents_the_array_is_not() -> None:
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
