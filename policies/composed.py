"""A policy composed of an acquisition and an abstention."""

from __future__ import annotations

from dataclasses import replace

from envs import UserError
from policies.abstention import ValueAbstention
from policies.acquisition import AutoAcquisition
from policies.dialogue_state import Abstention, Acquisition, Decision, DialogueState


class ComposedPolicy:
    """Ask what `acquisition` proposes until `abstention` finds the context sufficient.

    `n_neighbours`: stored queries whose paths vote (docs/results/benchmark.md; the paper shows a model five).
    `budget`: the most questions; None = as many as the stored plans were allowed. `disclosure`: the most that
    people are asked to tell of themselves, as the sum of the sensitivities of what they told when asked;
    None = no limit.
    """

    def __init__(
        self,
        acquisition: Acquisition | None = None,
        abstention: Abstention | None = None,
        n_neighbours: int = 80,
        budget: int | None = None,
        disclosure: int | None = None,
    ) -> None:
        if n_neighbours < 1:
            raise UserError(f"n_neighbours: found {n_neighbours}, expected an integer >= 1")
        if budget is not None and budget < 0:
            raise UserError(f"budget: found {budget}, expected an integer >= 0 or null")
        if disclosure is not None and disclosure < 0:
            raise UserError(f"disclosure: found {disclosure}, expected an integer >= 0 or null")
        self.acquisition = acquisition or AutoAcquisition()
        self.abstention = abstention or ValueAbstention()
        self.n_neighbours = n_neighbours
        self.budget = budget
        self.disclosure = disclosure

    def decide(self, dialogue: DialogueState) -> Decision:
        """Return the question, or None: budget spent, nothing left, or enough known."""
        if dialogue.budget_left < 1:
            return Decision(None, "the budget is spent")
        dialogue = self._within_disclosure(dialogue)
        if not dialogue.open.any():
            return Decision(None, "nothing is left to ask")
        choice = self.acquisition.choose(dialogue)
        should_stop, why = self.abstention.should_stop(dialogue, choice)
        if should_stop or choice.attribute is None:
            return Decision(None, why if should_stop else choice.reason)
        return Decision(dialogue.schema.names[choice.attribute], choice.reason)

    def _within_disclosure(self, dialogue: DialogueState) -> DialogueState:
        """Return `dialogue` without the questions whose answers would tell more than is allowed."""
        if self.disclosure is None:
            return dialogue
        sensitivity = {a.name: a.sensitivity for a in dialogue.schema.attributes}
        left = self.disclosure - sum(sensitivity[n] for n in dialogue.asked if n in dialogue.context)
        barred = tuple(name for name, level in sensitivity.items() if level > left)
        return replace(dialogue, barred=barred)
