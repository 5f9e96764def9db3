"""Line ends and the other flags of a survey, compared with a scan of each byte."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from lake_pipeline.convert.input.records import line_ends, survey


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("\n}{ \t\ra"), max_size=150))
def test_a_survey_finds_line_ends_joined_documents_and_blank_line_starts(text: str) -> None:
    count, joined, blank = survey(text.encode())
    ends = line_ends(text.encode(), count)
    begins = [0, *(end + 1 for end in ends.tolist())]
    assert ends.tolist() == [at for at, character in enumerate(text) if character == "\n"]
    assert joined == ("}{" in text)
    assert blank == any(text[at : at + 1] in (" ", "\t", "\r", "\n") for at in begins if at < len(text))
