"""Pieces are wrapped as the whole text is, however it was cut."""

import itertools
import textwrap

from hypothesis import given
from hypothesis import strategies as st

from experiments.talk.word_wrap import WordWrap


def wrapped(pieces, width):
    out = []
    wrap = WordWrap(out.append, width)
    for piece in pieces:
        wrap.add(piece)
    wrap.end()
    return "".join(out)


words = st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=30).map(" ".join)


@given(words, st.lists(st.integers(0, 200)), st.integers(12, 40))
def test_as_a_text_that_is_there_at_once(text, cuts, width):
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(ends)]
    assert wrapped(pieces, width) == textwrap.fill(text, width) + "\n"


def test_lines_and_spaces_of_the_text_stay():
    assert wrapped(["One  two\n\n", "  - three"], 40) == "One  two\n\n  - three\n"


def test_a_word_longer_than_a_line_is_not_cut_and_wide_letters_take_two_columns():
    assert wrapped(["see https://example.org/x now"], 10) == "see\nhttps://example.org/x\nnow\n"
    assert wrapped(["\u4f60\u597d \u4f60\u597d"], 8) == "\u4f60\u597d\n\u4f60\u597d\n"


def test_without_a_width_pieces_pass_as_they_are():
    assert wrapped(["a" * 300, " b"], None) == "a" * 300 + " b\n"
