"""Find in what a person wrote the words that a model says it quotes."""

from __future__ import annotations

import functools
import re
import unicodedata

from envs.judges.llm.prompting import neutral

_MARKS = " .,;:!?'|"
_IN_NUMBER = re.compile(r"\d[.,']\d")
"""A mark inside a number: what stands on one side of it is not the number."""


def quoted(words: str, text: str) -> str | None:
    """Return the first part of `text` that is `words`, None where there is none.

    Case, white space, kinds of quotes and brackets, and marks around are not counted; a word or a number is
    never cut.
    """
    wanted = _folded(words)[0].strip(_MARKS)
    shown, places = _folded(text)
    start = shown.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        if not _is_cut(shown, start) and not _is_cut(shown, end) and not _has_sign(shown, start):
            return text[places[start] : places[end - 1] + 1]
        start = shown.find(wanted, start + 1)
    return None


def _folded(text: str) -> tuple[str, list[int]]:
    """Return `text` as it is compared, and for each character the place in `text` that it is from."""
    shown: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for one in _fold(char):
            if one != " " or (shown and shown[-1] != " "):
                shown.append(one)
                places.append(place)
    return "".join(shown), places


@functools.lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    """Return `char` as prompts show it, decomposed: a model may compose what was written in parts."""
    if char.isspace():
        return " "
    return unicodedata.normalize("NFKD", neutral(char, 18).casefold()).replace('"', "'")


def _is_cut(text: str, place: int) -> bool:
    """Tell whether a word or a number goes on across `place`; of scripts without spaces no word does."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if _joins(before) and _joins(after):
        return before.isdigit() == after.isdigit()
    return bool(_IN_NUMBER.match(text, place - 1) or (place > 1 and _IN_NUMBER.match(text, place - 2)))


def _joins(char: str) -> bool:
    return char.isdigit() or char == "_" or unicodedata.category(char) in ("Ll", "Lu", "Lt", "Mn")


def _has_sign(text: str, start: int) -> bool:
    """Tell whether a number at `start` loses its sign."""
    signed = start > 0 and text[start].isdigit() and text[start - 1] in "-\u2212"
    return signed and (start == 1 or not text[start - 2].isalnum())
