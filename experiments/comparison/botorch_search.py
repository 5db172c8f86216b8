"""BoTorch as a search to compare with: noisy expected improvement on a Gaussian process over all sets.

The only file that imports BoTorch, the extra `botorch`. A set is the point of its memberships in {0, 1}^n.
The model is BoTorch's own (`SingleTaskGP`, its priors, its fit) and so is the acquisition function: qLogNEI
(Ament et al. 2023, "Unexpected improvements to expected improvement"), maximised over every set allowed.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from envs import UserError
from envs.checking.extras import check_installed
from experiments.comparison.problems import MAX_SETS, all_sets, n_sets
from search.path_rule import best_set, order, plan_of_path
from search.plans import Plan
from search.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor

_STEPS = 40
"""Iterations of a fit."""


class BoTorchSearch:
    """Score nothing asked and each single attribute, then what qLogNEI names; plan by posterior mean.

    Rows depend on the processor: torch adds in an order of its own.

    Parameters
    ----------
    num_simulations : int >= 2, judge calls
    refit : int >= 1, judge calls between two fits of the hyperparameters
    draws : int >= 1, quasi-random draws that the acquisition function averages over
    """

    name = "botorch"

    def __init__(self, num_simulations: int = 60, refit: int = 6, draws: int = 128) -> None:
        check_installed("search", "botorch", "botorch")
        self.num_simulations = num_simulations
        self.refit = refit
        self.draws = draws

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the path of the looked-at set of the highest posterior mean (noise-free: score)."""
        import torch

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of matrices that took a jitter, which is dealt with
            torch.manual_seed(int(rng.integers(2**31)))
            return _Run(self, problem).plan()

    def most_judge_calls(self, n_askable: int, budget: int) -> int:
        """Return the most judge calls of one plan."""
        return self.num_simulations


class _Run:
    """One problem's search; `at`, `scores`: what was looked at, an entry a judge call with a score."""

    def __init__(self, settings: BoTorchSearch, problem: Problem) -> None:
        import torch

        self.settings, self.problem = settings, problem
        free = int(problem.askable)
        if n_sets(free.bit_count(), problem.budget) > MAX_SETS:
            raise UserError(f"search botorch: more than {MAX_SETS:,} sets, expected so few as can be listed")
        self.masks = all_sets(free, problem.budget) | problem.known
        askable = [a for a in range(problem.n_attributes) if free >> a & 1]
        bits = self.masks[:, None] >> np.array(askable, np.uint64) & np.uint64(1)
        self.points = torch.tensor(bits.astype(np.float64))
        self.costs = problem.objectives(self.masks, np.zeros(len(self.masks)))
        self.at: list[int] = []
        self.scores: list[float] = []
        self.looks = np.zeros(len(self.masks), np.int64)
        self.unscored = np.zeros(len(self.masks), bool)
        self.fitted: dict[str, Tensor] | None = None

    def plan(self) -> Plan:
        calls = self.settings.num_simulations
        if self.problem.calls_left is not None:
            calls = min(calls, self.problem.calls_left)
        for place in range(min(calls, 1 + self.points.shape[1])):
            self.look(place)
        used = int(self.looks.sum())
        while used < calls and len(set(self.at)) > 1 and (choice := self.choose(used)) is not None:
            self.look(choice)
            used += 1
        beliefs = self.beliefs()
        target = best_set(self.problem, {mask: beliefs[mask] for mask in self.masks[self.at].tolist()})
        path = order(self.problem, target, beliefs)
        return plan_of_path(self.problem, path, simulations=used, beliefs=beliefs)

    def look(self, place: int) -> None:
        score = float(self.problem.evaluate(self.masks[[place]], self.looks[[place]])[0])
        self.looks[place] += 1
        if math.isnan(score):
            self.unscored[place] = True
        else:
            self.at.append(place)
            self.scores.append(score)

    def choose(self, used: int) -> int | None:
        """Return the place of the set to look at next, None when all were."""
        import torch
        from botorch.acquisition import qLogNoisyExpectedImprovement
        from botorch.sampling import SobolQMCNormalSampler

        model = self.model(fit=self.fitted is None or used % self.settings.refit == 0)
        sampler = SobolQMCNormalSampler(torch.Size([self.settings.draws]), seed=used)
        gain = qLogNoisyExpectedImprovement(model, self.points[self.at], sampler=sampler, prune_baseline=True)
        with torch.no_grad():
            worth = gain(self.points[:, None, :]).numpy()
        shut = self.unscored if self.problem.noisy else self.unscored | (self.looks > 0)
        return None if shut.all() else int(np.where(shut, -np.inf, worth).argmax())

    def model(self, fit: bool) -> Any:
        """Return the Gaussian process of the objectives seen, of the last fit's hyperparameters or fitted."""
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from gpytorch.mlls import ExactMarginalLogLikelihood

        seen = torch.tensor(np.array(self.scores) + self.costs[self.at])[:, None]
        exact = None if self.problem.noisy else torch.full_like(seen, 1e-6)
        model = SingleTaskGP(self.points[self.at], seen, exact, outcome_transform=Standardize(1))
        if fit:
            likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
            fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": _STEPS}})
            kept = {name: value.clone() for name, value in model.state_dict().items()}
            self.fitted = {n: v for n, v in kept.items() if not n.startswith("outcome_transform")}
        elif self.fitted is not None:
            model.load_state_dict(self.fitted, strict=False)
        model.eval()
        return model

    def beliefs(self) -> dict[int, float]:
        """Return {mask: posterior mean} of all sets; what was scored without noise is its score."""
        import torch

        if len(set(self.at)) < 2:
            return dict(zip(self.masks[self.at].tolist(), self.scores, strict=True))
        model = self.model(fit=True)
        with torch.no_grad():
            mean = model.posterior(self.points).mean[:, 0].numpy() - self.costs
        found = dict(zip(self.masks.tolist(), mean.tolist(), strict=True))
        if not self.problem.noisy:
            found |= dict(zip(self.masks[self.at].tolist(), self.scores, strict=True))
        return found
