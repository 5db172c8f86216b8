"""A policy composed of an acquisition and an abstention."""

from __future__ import annotations

from envs import UserError
from policies.abstention import ValueAbstention
from policies.acquisition import AutoAcquisition
from policies.dialogue_state import Abstention, Acquisition, Decision, DialogueState


class ComposedPolicy:
    """Ask what `acquisition` proposes until `abstention` finds the context sufficient.

    `n_neighbours`: stored queries looked at (paper: k = 5). `budget`: the most questions; None = as many as
    the stored plans were allowed.
    """

    def __init__(
        self,
        acquisition: Acquisition | None = None,
        abstention: Abstention | None = None,
        n_neighbours: int = 5,
        budget: int | None = None,
    ) -> None:
        if n_neighbours < 1:
            raise UserError(f"n_neighbours: found {n_neighbours}, expected an integer >= 1")
        if budget is not None and budget < 0:
            raise UserError(f"budget: found {budget}, expected an integer >= 0 or null")
        self.acquisition = acquisition or AutoAcquisition()
        self.abstention = abstention or ValueAbstention()
        self.n_neighbours = n_neighbours
        self.budget = budget

    def decide(self, dialogue: DialogueState) -> Decision:
        """Return the question, or None: budget spent, nothing left, or enough known."""
        if dialogue.budget_left < 1:
            return Decision(None, "the budget is spent")
        if not dialogue.open.any():
            return Decision(None, "nothing is left to ask")
        choice = self.acquisition.choose(dialogue)
        should_stop, why = self.abstention.should_stop(dialogue, choice)
        if should_stop or choice.attribute is None:
            return Decision(None, why if should_stop else choice.reason)
        return Decision(dialogue.schema.names[choice.attribute], choice.reason)
