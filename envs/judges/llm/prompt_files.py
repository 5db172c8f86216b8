"""The prompt files of one judge: the package's, or a user's in their place (`judge.prompts=DIR`)."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from envs.errors import UserError
from envs.judges.llm import prompting

_BLOCKS = {
    "target": (("query", "known"), ()),
    "vanilla": (("query",), ()),
    "response": (("query", "profile", "answer"), ("rubric", "format")),
    "direct": (("query", "profile", "known"), ("rubric", "format")),
}
"""Prompt of roles -> the places that it must have, and those that it may have."""
_PARTS = ("rubric", "format_json", "format_text", "rationale_json", "rationale_text", "again")
"""Files put into the places `rubric` and `format` of a prompt, or behind a reply; they have no places."""
NAMES = (*_BLOCKS, *_PARTS)
MAX_PROMPT = 100_000
"""Characters of a prompt file."""
_PLACE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\}|())")
_ROLES = ("system", "user", "assistant")


class PromptFiles:
    """The texts that a judge's requests are made of.

    Parameters
    ----------
    protocol : subfolder of the package's prompt files that come first, "" = none
    folder : of the user's files, which come before those: NAME.txt for a NAME in `NAMES`
    no_danger : anchors for profiles without danger go behind the rubric

    Raises
    ------
    UserError
        no such folder, a file of another name, without a place that its prompt needs, or with an unknown one.
    """

    def __init__(self, protocol: str = "", folder: str | None = None, no_danger: bool = False) -> None:
        self._own = {} if folder is None else _own_texts(Path(folder).expanduser())
        self._protocol = protocol
        self._no_danger = no_danger

    @property
    def digest(self) -> str | None:
        """The first eight hexadecimal digits of the SHA-256 of all own files, None without any."""
        texts = "\0".join(f"{name}\0{text}" for name, text in sorted(self._own.items()))
        return hashlib.sha256(texts.encode()).hexdigest()[:8] if self._own else None

    def messages(self, name: str, parts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the (role, content) pairs of the prompt `name` with `parts` in their places."""
        return prompting.messages_of_text(self._file(name)[1], parts)

    def rubric(self) -> str:
        """Return the rubric."""
        parts = [self.text("rubric"), *([self.text("no_danger")] if self._no_danger else [])]
        return "\n\n".join(parts)

    def text(self, name: str) -> str:
        """Return the text of the file `name`, without white space around it."""
        return self._file(name)[1].strip()

    def has(self, name: str) -> bool:
        """Tell whether the protocol or the user has a prompt `name`; an own target stands for vanilla too."""
        inside = (prompting.FOLDER / self._protocol / f"{name}.{prompting.VERSION}.txt").is_file()
        return name in self._own or (inside and not (name == "vanilla" and "target" in self._own))

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of each file that is used for `names`, for a run's provenance."""
        wanted = {*names, *(["no_danger"] if self._no_danger else [])}
        files = [self._file(name) for name in sorted(wanted)]
        return {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files}

    def _file(self, name: str) -> tuple[str, str]:
        """Return what provenance calls the file that is used for `name`, and its text."""
        if name in self._own:
            return f"own/{name}", self._own[name]
        return _packaged(self._protocol, name)


@functools.cache
def _packaged(protocol: str, name: str) -> tuple[str, str]:
    inside = f"{protocol}/{name}" if protocol else name
    if not (prompting.FOLDER / f"{inside}.{prompting.VERSION}.txt").is_file():
        inside = name
    return f"{inside}.{prompting.VERSION}", prompting.template(inside)


def _own_texts(folder: Path) -> dict[str, str]:
    place = f"judge.prompts={folder}"
    expected = f"expected some of {', '.join(f'{name}.txt' for name in NAMES)}"
    if not folder.is_dir():
        raise UserError(f"{place}: no such folder, {expected}")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix == ".txt"}
    for name in found.keys() - set(NAMES):
        near = get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]}.txt" if near else expected
        raise UserError(f"{place}: {name}.txt is no prompt file, {hint}")
    if not found:
        raise UserError(f"{place}: found no prompt file, {expected}")
    return {name: _checked(name, _read(path, place), f"{place}: {name}.txt") for name, path in found.items()}


def _read(path: Path, place: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise UserError(f"{place}: {path.name} cannot be read as UTF-8 text ({kind})") from None
    if not text.strip() or len(text) > MAX_PROMPT:
        raise UserError(
            f"{place}: {path.name} has {len(text)} characters, expected 1 to {MAX_PROMPT:,}, not all blank"
        )
    return text


def _checked(name: str, text: str, place: str) -> str:
    """Return `text`, a user's prompt file, when it is one."""
    if name in _PARTS:
        return text
    roles = [role for role, _ in prompting.sections(text)]
    if not roles or set(roles) - set(_ROLES) or roles[-1] != "user" or not text.startswith("=== "):
        raise UserError(
            f"{place}: found {' and '.join(roles) or 'no'} sections, expected lines '=== system ===' and "
            f"'=== user ===' from the first line on, the last section the user's"
        )
    needed, allowed = _BLOCKS[name]
    places = [match[2] or match[3] or match[4] for match in _PLACE.finditer(text) if match[1] is None]
    for found in places:
        if found not in (*needed, *allowed):
            shown = f"${found}" if found else "a single $ (write $$)"
            raise UserError(
                f"{place}: found {shown}, expected {', '.join(f'${p}' for p in (*needed, *allowed))}"
            )
    for wanted in needed:
        if wanted not in places:
            raise UserError(f"{place}: has no ${wanted}, expected it once at least")
    return text
