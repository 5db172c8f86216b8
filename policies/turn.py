"""What the agent says, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from envs.scenario import Profile
from policies.understanding.detector import Resource


@dataclass(frozen=True)
class Turn:
    """What the agent says. Values stay out of `repr`.

    Attributes
    ----------
    kind : "ask", "answer" or "escalate"; nothing follows the last two
    attribute, question, why : of `ask`; a name of the schema, what to say to the person, what it is for
    reason : why the agent asks this, or has stopped asking, in a few words without any value
    context : {attribute: value} known at the end, in schema order (`answer`)
    path : attributes asked, in order, the declined ones too
    declined : those of `path` without a value
    revealed : attributes that the query told by itself
    response : the target model's answer, None where no model is configured
    message, resources, signal : of `escalate`: what to say, whom to turn to, which sign was found
    """

    kind: Literal["ask", "answer", "escalate"]
    attribute: str | None = None
    question: str = ""
    why: str = ""
    reason: str = ""
    context: Profile = field(default_factory=lambda: Profile({}))
    path: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    revealed: tuple[str, ...] = ()
    response: str | None = field(default=None, repr=False)
    message: str = field(default="", repr=False)
    resources: tuple[Resource, ...] = field(default=(), repr=False)
    signal: str = ""
