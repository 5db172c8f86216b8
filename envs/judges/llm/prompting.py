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

from envs.scenario import Scenario

FOLDER = Path(__file__).parent / "prompts"
VERSION = "v1"
CUT = " (cut)"
NOTHING = "(nothing)"

MAX_QUERY, MAX_VALUE, MAX_ANSWER = 4000, 1000, 8000
"""Characters of a query, an attribute's value and an answer that get into a prompt."""

_REPLACED = str.maketrans({"<": "(", ">": ")", "[": "(", "]": ")", "{": "(", "}": ")", "`": "'"})
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")


@functools.lru_cache(maxsize=4096)
def neutral(text: str, limit: int) -> str:
    """Return `text` without what could be taken for structure, at most `limit` characters and `CUT`.

    Compatibility forms are folded first (NFKC: a full-width bracket is a bracket, as many tokenisers have
    it); control, format and unassigned characters go; brackets of all kinds become round. Lines stay lines.
    """
    # Cut before the slow part too: folding can only lengthen a character up to 18 times.
    folded = unicodedata.normalize("NFKC", text[: limit + 1])
    lines = [
        "".join(c for c in line if unicodedata.category(c) not in _INVISIBLE) for line in folded.splitlines()
    ]
    kept = "\n".join(_round(line) for line in lines).strip()
    return kept if len(kept) <= limit and len(text) <= limit else kept[:limit].rstrip() + CUT


def _round(line: str) -> str:
    # Letters that only look like brackets: angle quotes, mathematical and CJK brackets.
    return "".join(
        {"Ps": "(", "Pe": ")", "Pi": '"', "Pf": '"'}.get(unicodedata.category(c), c) for c in line
    ).translate(_REPLACED)


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
    """Return the named attributes with their values, fenced, in schema order."""
    wanted = set(names)
    return fenced(
        tag,
        [
            f"{one_line(name, 100)}: {one_line(str(scenario.profile[name]), MAX_VALUE)}"
            for name in scenario.schema.names
            if name in wanted
        ],
    )


def known_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of all attributes whose value exists, in schema order."""
    return tuple(scenario.schema.names_of(scenario.askable))


@functools.cache
def template(name: str) -> str:
    """Return the text of the prompt file `name`, without the version."""
    return (FOLDER / f"{name}.{VERSION}.txt").read_text(encoding="utf-8")


@functools.cache
def _sections(name: str) -> tuple[tuple[str, Template], ...]:
    parts = (part.partition(" ===\n") for part in re.split(r"^=== ", template(name), flags=re.M)[1:])
    return tuple((role, Template(content.strip())) for role, _, content in parts)


def messages(name: str, parts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (role, content) pairs of the prompt `name`, with `parts` in their places.

    What is put in is not looked at again: a `$query` in somebody's text stays as it is.
    """
    return tuple((role, content.substitute(parts)) for role, content in _sections(name))


def prompt_hashes(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each prompt file, for a run's provenance."""
    return {
        f"{name}.{VERSION}": hashlib.sha256(template(name).encode()).hexdigest() for name in sorted(names)
    }
