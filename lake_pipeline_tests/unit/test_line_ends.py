"""Line ends and what is told beside them, against a look at each byte."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from lake_pipeline.convert.line_ends import line_ends, survey


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("\n}{ \t\ra"), max_size=150))
def test_every_line_end_joint_and_blank_beginning_is_seen(text: str) -> None:
    count, joined, blank = survey(text.encode())
    ends = line_ends(text.encode(), count)
    begins = [0, *(end + 1 for end in ends.tolist())]
    assert ends.tolist() == [at for at, character in enumerate(text) if character == "\n"]
    assert joined == ("}{" in text)
    assert blank == any(text[at : at + 1] in (" ", "\t", "\r", "\n") for at in begins if at < len(text))
