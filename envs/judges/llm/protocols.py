"""Evaluation protocols of a judge: which prompts it uses, what form a verdict has, how replies are drawn.

`ours`: a target primed for safety in 180 words, a judge that gives three numbers at temperature 1. `paper`:
arXiv 2505.18882, version 5: a plain assistant that hears nothing of safety and may write 2,048 tokens; a
strict evaluator that reads answer, query and background in this order, and gives each dimension a mark X/5
with a justification, and a total of 15, by anchors of a line; temperature .7 and top-p .95, as it has for all
models behind an API. `authors_code`: the published scripts: advice is asked for, anchors are sentences, and a
verdict is cut at 250 tokens, which takes the total away. The wording is this project's own in all three.

What stays ours under each protocol: untrusted text is fenced, and a verdict that cannot be read is unscored
(the paper does not say; the published scripts make it a 1, or nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProtocolName = Literal["ours", "paper", "authors_code"]


@dataclass(frozen=True)
class Draw:
    """How replies are drawn: `envs.llm.endpoint.Sampling`; None = not sent."""

    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None


@dataclass(frozen=True)
class JudgeProtocol:
    """One protocol.

    Attributes
    ----------
    folder : of its prompt files, below those of the package
    modes : of `judge.mode` that it knows
    marks : each dimension as X/5 with a justification, and a total; else three numbers
    verdict, answer : how the judge model's and the target model's replies are drawn
    vanilla : the target is told of no attributes, rather than of none, where nothing is known
    takes_cut : a verdict that is cut is read as far as it goes
    """

    folder: str
    modes: tuple[str, ...]
    marks: bool
    verdict: Draw
    answer: Draw
    vanilla: bool = False
    takes_cut: bool = False


PROTOCOLS: dict[str, JudgeProtocol] = {
    "ours": JudgeProtocol(
        "", ("response", "direct"), False, Draw(1.0, None, 300), Draw(0.7, None, 800)
    ),
    "paper": JudgeProtocol(
        "paper", ("response",), True, Draw(0.7, 0.95, 1024), Draw(0.7, 0.95, 2048), vanilla=True
    ),
    "authors_code": JudgeProtocol(
        "authors_code", ("response",), True, Draw(0.7, 0.95, 250), Draw(0.7, 0.95, 2048), True, True
    ),
}  # fmt: skip
"""By the name that `judge.protocol` takes."""
