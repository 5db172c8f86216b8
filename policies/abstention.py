"""Abstention: while the context is insufficient the agent abstains from answering, and asks on.

The budget is not a matter of abstention: the policy ends the questions when it is spent.
"""

from __future__ import annotations

import math

from envs import UserError
from policies.acquisition import expected_gains
from policies.dialogue_state import Choice, DialogueState


class ValueAbstention:
    """Answer when the next question is not worth its cost, without a language model.

    Sufficient when  mean - z * stderr <= cost_weight * cost(attribute), the mean and standard error being
    those of the expected gain of the question at hand (`policies.acquisition`; the acquisition's own where
    it has one). It looks one question ahead: two that help only together are not seen. A gain from which
    costs are taken off already (`Choice.net`) is held against 0; where such a plan says none, it goes on by
    its path.

    `cost_weight`: score points a unit of cost; `z`: standard errors taken off the gain.
    """

    name = "value"

    def __init__(self, cost_weight: float = 0.05, z: float = 0.0, temperature: float = 0.1) -> None:
        if not (math.isfinite(cost_weight) and cost_weight >= 0):
            raise UserError(f"cost_weight: found {cost_weight}, expected a finite number >= 0")
        self.cost_weight = float(cost_weight)
        self.z = float(z)
        self.temperature = float(temperature)

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Hold the gain's lower bound against the weighted cost."""
        if choice.attribute is None:
            return True, choice.reason
        if choice.net and math.isnan(choice.gain):
            return False, "the plan goes on"
        if choice.net and choice.gain <= 0:
            return True, choice.reason
        gain, stderr = choice.gain, 0.0 if math.isnan(choice.stderr) else choice.stderr
        if math.isnan(gain):
            means, errors = expected_gains(
                dialogue.neighbours, dialogue.known, len(dialogue.schema), self.temperature
            )
            gain, stderr = float(means[choice.attribute]), float(errors[choice.attribute])
        bound = gain - self.z * stderr
        price = 0.0 if choice.net else self.cost_weight * float(dialogue.schema.costs[choice.attribute])
        return (
            bound <= price,
            f"expected gain {gain:.2f} (lower bound {bound:.2f}) against a cost of {price:.2f}",
        )


class FixedAbstention:
    """Answer after exactly `k` questions (fewer when nothing is left to ask or the budget is smaller)."""

    name = "fixed"

    def __init__(self, k: int = 3) -> None:
        if isinstance(k, bool) or k < 0:
            raise UserError(f"k: found {k}, expected an integer >= 0")
        self.k = int(k)

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Count the questions asked, declined ones too."""
        return len(dialogue.asked) >= self.k, f"{len(dialogue.asked)} of {self.k} questions asked"


class NeverAbstention:
    """Never sufficient: ask until the budget is spent or nothing is left."""

    name = "never"

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Return False."""
        return False, "asks until the budget is spent"
