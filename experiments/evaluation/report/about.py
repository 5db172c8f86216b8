"""What an evaluation was of."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.evaluation.methods.models import Asked


@dataclass(frozen=True)
class About:
    """What an evaluation was of.

    `target`: the model whose answers are judged, None where none answers. `asked`: what a model that chooses
    or rates was asked. `about_trees`: a line on the policy trees beside the table. `made_up_attributes`:
    those whose worth the judge makes up. `policy`: what the chosen one is made of, in a few words.
    """

    judge: str
    simulated: bool
    scenarios: str
    budget: int
    names: tuple[str, ...]
    n_train: int
    folds: int
    value_cost: float
    seed: int
    draws: int
    level: float
    target: str | None = None
    asked: tuple[Asked, ...] = ()
    about_trees: str = ""
    made_up_attributes: tuple[str, ...] = ()
    policy: str = ""
