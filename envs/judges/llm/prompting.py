"""Build prompts from versioned text files; fence untrusted text.

Queries, attribute values and a model's own answers are untrusted: they may hold instructions, fake verdicts,
or what looks like the end of their own block. In a prompt each stands between tags of its own, its lines
behind a bar; characters that could make a tag or a model's control token are replaced, what is invisible
goes, and length is capped. So whatever the text holds, a tag in a prompt is ours.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template

from envs.judges.llm.neutral_text import neutral_line
from envs.scenario import Scenario

FOLDER = Path(__file__).parent / "prompts"
VERSION = "v1"
CUT = " (cut)"
NOTHING = "(nothing)"

MAX_QUERY, MAX_VALUE, MAX_ANSWER = 4000, 1000, 8000
"""Characters of a query, an attribute's value and an answer that get into a prompt."""


@functools.lru_cache(maxsize=4096)
def neutral(text: str, limit: int) -> str:
    """Return `text` without what could be taken for structure, at most `limit` characters and `CUT`.

    Compatibility forms are folded first (NFKC: a full-width bracket is a bracket, as many tokenisers have
    it); control, format and unassigned characters go; brackets of all kinds become round, and bars, which
    stand before each line of a block, slashes. Lines stay lines.
    """
    # Cut before the slow part too: folding can only lengthen a character up to 18 times.
    folded = unicodedata.normalize("NFKC", text[: limit + 1])
    kept = "\n".join(neutral_line(line) for line in folded.splitlines()).strip()
    return kept if len(kept) <= limit and len(text) <= limit else kept[:limit].rstrip() + CUT


@functools.lru_cache(maxsize=4096)
def one_line(text: str, limit: int) -> str:
    """Return `text` neutralised and on one line."""
    return re.sub(r"\s+", " ", neutral(text, limit))


def fenced(tag: str, lines: Iterable[str]) -> str:
    """Return `lines` (neutralised already) between tags, each behind a bar."""
    body = "\n".join(f"| {line}" for line in lines)
    return f"<{tag}>\n{body or '| ' + NOTHING}\n</{tag}>"


def query_block(scenario: Scenario) -> str:
    """Return the person's question, fenced."""
    return fenced("query", neutral(scenario.query, MAX_QUERY).split("\n"))


def answer_block(answer: str) -> str:
    """Return a model's answer, fenced."""
    return fenced("answer", neutral(answer, MAX_ANSWER).split("\n"))


def attributes_block(tag: str, scenario: Scenario, names: Iterable[str]) -> str:
    """Return the named attributes with their values, fenced, in schema order.

    What is `known` is known in the person's words where they told it; a judge's `profile` holds the values.
    """
    wanted = set(names)
    values = {**scenario.profile, **(scenario.said if tag == "known" else {})}
    return fenced(
        tag,
        [
            f"{one_line(name, 100)}: {one_line(str(values[name]), MAX_VALUE)}"
            for name in scenario.schema.whole.names
            if name in wanted
        ],
    )


def known_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of all attributes whose value exists, those beyond one plan too, in schema order."""
    whole = scenario.schema.whole
    return tuple(name for name in whole.names if not whole.is_missing(scenario.profile.get(name)))


@functools.cache
def template(name: str) -> str:
    """Return the text of the prompt file `name`, without the version."""
    return (FOLDER / f"{name}.{VERSION}.txt").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=256)
def sections(text: str) -> tuple[tuple[str, Template], ...]:
    """Return the (role, content) pairs of a prompt file's text."""
    parts = (part.partition(" ===\n") for part in re.split(r"^=== ", text, flags=re.M)[1:])
    return tuple((role, Template(content.strip())) for role, _, content in parts)


def messages(name: str, parts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (role, content) pairs of the prompt `name`; see `messages_of`."""
    return messages_of(FOLDER / f"{name}.{VERSION}.txt", parts)


def messages_of(path: Path, parts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (role, content) pairs of the prompt file `path`, with `parts` in their places."""
    return messages_of_text(_text_of(path), parts)


def messages_of_text(text: str, parts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (role, content) pairs of a prompt file's text, with `parts` in their places.

    What is put in is not looked at again: a `$query` in somebody's text stays as it is.
    """
    return tuple((role, content.substitute(parts)) for role, content in sections(text))


@functools.cache
def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prompt_hashes(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each prompt file, for a run's provenance."""
    return {
        f"{name}.{VERSION}": hashlib.sha256(template(name).encode()).hexdigest() for name in sorted(names)
    }
