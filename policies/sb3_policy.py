"""A policy that runs a model trained on the Gymnasium environment: MaskablePPO or DQN, saved by sb3."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Dict

from envs import DOMAINS, UserError
from envs.checking.extras import check_installed
from policies.dialogue_state import Decision, DialogueState
from policies.understanding.domain import domain_posterior

KINDS = {"sb3_contrib.common.maskable": "MaskablePPO", "stable_baselines3.dqn": "DQN"}
"""Module of a model's policy -> its algorithm."""


class Sb3Policy:
    """Ask what a model says that was trained on `envs/AttributeAcquisition-v0`, until it answers.

    The observation is the environment's; the domain in it is the one the caller named, else the most probable
    given the query. What may not be asked is masked for MaskablePPO; of DQN the legal action of the highest
    value is taken. Such files hold pickled objects: load only those that you trust.

    Parameters
    ----------
    model : the zip file of `MaskablePPO.save` or `DQN.save`, trained with `MultiInputPolicy`
    budget : the most questions; None = as many as the model was trained with

    Raises
    ------
    UserError
        the extra `rl` is not installed, or the file is no such model; at the first question, when it was
        trained on other attributes.
    """

    n_neighbours = 1

    def __init__(self, model: str, budget: int | None = None) -> None:
        self._kind = _kind_of(Path(model))
        check_installed("policy", "rl", "sb3_contrib")
        import sb3_contrib
        import stable_baselines3

        algorithms: dict[str, Any] = {
            "MaskablePPO": sb3_contrib.MaskablePPO,
            "DQN": stable_baselines3.DQN,
        }
        self._place = str(model)
        self._model = algorithms[self._kind].load(model, device="cpu")
        seen = self._model.observation_space
        spaces: dict[str, Any] = dict(seen) if isinstance(seen, Dict) else {}
        if set(spaces) != {"known", "answers", "budget_left", "domain"}:
            raise UserError(f"{model}: trained on another observation, expected that of AttributeAcquisition")
        self._most = int(spaces["budget_left"].n) - 1
        self._levels = tuple(spaces["answers"].nvec.tolist())
        self.budget = self._most if budget is None else budget

    def decide(self, dialogue: DialogueState) -> Decision:
        """Return the model's question, or None where it answers."""
        levels = tuple((dialogue.schema.n_levels + 2).tolist())
        if levels != self._levels:
            raise UserError(
                f"{self._place}: trained on other attributes or levels than the table's, expected its"
            )
        allowed = np.append(dialogue.open, True)
        action = self._action(self.observation(dialogue), allowed)
        if action == len(dialogue.schema):
            return Decision(None, "the trained model answers")
        return Decision(dialogue.schema.names[action], "the trained model's choice")

    def observation(self, dialogue: DialogueState) -> dict[str, np.ndarray]:
        """Return what the environment would show: int8[n], int16[n], int64, int64."""
        schema = dialogue.schema
        known = np.array([dialogue.known >> i & 1 for i in range(len(schema))], np.int8)
        codes = np.array([dialogue.code(name) if name in dialogue.context else -2 for name in schema.names])
        domain = dialogue.domain
        if domain is None:
            posterior = domain_posterior(dialogue.query)
            domain = max(posterior, key=lambda name: posterior[name])
        return {
            "known": known,
            "answers": (codes + 2).astype(np.int16),
            "budget_left": np.array(min(dialogue.budget_left, self._most)),
            "domain": np.array(DOMAINS.index(domain if domain in DOMAINS else "other")),
        }

    def _action(self, observation: dict[str, np.ndarray], allowed: np.ndarray) -> int:
        if self._kind == "MaskablePPO":
            return int(self._model.predict(observation, action_masks=allowed, deterministic=True)[0])
        tensors, _ = self._model.policy.obs_to_tensor(observation)
        values = self._model.q_net(tensors).detach().numpy()[0]
        return int(np.where(allowed, values, -np.inf).argmax())


def _kind_of(path: Path) -> str:
    """Return the algorithm of a saved model, from the names in it: nothing of it is loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            module = str(json.loads(archive.read("data"))["policy_class"]["__module__"])
    except FileNotFoundError:
        raise UserError(f"policy.model={path}: no such file, expected a saved MaskablePPO or DQN") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise UserError(f"policy.model={path}: found no saved model, expected MaskablePPO or DQN") from None
    kind = next((kind for name, kind in KINDS.items() if module.startswith(name)), None)
    if kind is None:
        raise UserError(f"policy.model={path}: found another algorithm, expected MaskablePPO or DQN")
    return kind
