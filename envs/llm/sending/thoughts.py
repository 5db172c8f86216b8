"""Tell a reasoning model's thoughts from what it answers."""

from __future__ import annotations

import re

_TAG = (
    r"(?:\w+:)?"
    r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|(?:inner|internal)_monologue)"
)
_OPEN = re.compile(
    rf"(?:^|(?<=\n))[ \t]*(?:<({_TAG})(?:[ \t][^<>\n]*)?>|\[(THINK)\]|\u25c1(think)\u25b7)", re.I
)
_LONE_END = re.compile(rf"(?<![`\"'])(?:</{_TAG}>|\[/THINK\]|\u25c1/think\u25b7)[ \t]*(?=[\r\n{{]|$)", re.I)
_FINAL = re.compile(
    r"<\|channel\|>\s*final\b[^<]*<\|message\|>(.*?)(?:<\|(?:end|return|start|channel)\|>|$)", re.S
)


def without_thoughts(text: str) -> str:
    """Return `text` without blocks of thoughts, "" where thoughts are all it is.

    Known: `<think>` and its kin, `[THINK]`, and the channels of the harmony format, each block at the start
    of a line. A block that does not end is thoughts to the end. Some chat templates open the block in the
    prompt: then a reply has its end alone, at the end of a line. A tag named within a sentence is text.
    """
    if "<|channel|>" in text:
        found = _FINAL.findall(text)
        return found[-1].strip() if found else ""
    kept, place, opened = [], 0, False
    while begin := _OPEN.search(text, place):
        opened = True
        tag = next(name for name in begin.groups() if name)
        end = re.compile(rf"(?:</{tag}>|\[/{tag}\]|\u25c1/{tag}\u25b7)", re.I).search(text, begin.end())
        kept.append(text[place : begin.start()])
        if end is None:
            return "".join(kept).strip()
        place = end.end()
    rest = text[place:]
    lone = None if opened else _LONE_END.search(rest)
    if lone:
        return rest[lone.end() :].lstrip()
    return "".join([*kept, rest]).lstrip() if opened else text
