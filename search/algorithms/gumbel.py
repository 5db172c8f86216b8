"""The first question by Gumbel noise and sequential halving, the others by tree search: `search=gumbel`."""

from __future__ import annotations

import math

import numpy as np

from envs import UserError
from envs.elementwise import each
from search.algorithms.mcts import MCTSSearch, prior_over
from search.core.tree import ROOT, SelectionRules, Tree
from search.path_rule import members
from search.plans import Alternative, Plan
from search.problem import Problem
from search.surrogate.reallocate import finish

_VISITS_OFFSET = 50.0
"""c_visit of the paper."""


class GumbelSearch:
    """Plan with a Gumbel root ("Policy improvement by planning with Gumbel", Danihelka et al., ICLR 2022).

    At the root m = `max_considered` first questions are drawn without replacement, the top m by g(a) +
    logit(a) with g(a) ~ Gumbel(0, 1) and logit the logarithm of the prior (algorithm 1). The simulations are
    divided by sequential halving (Karnin, Koren & Somekh 2013): in each of ceil(log2 m) phases, each question
    still considered gets max(1, floor(n / (ceil(log2 m) * considered))) of the n simulations, then the half
    with the highest

        g(a) + logit(a) + sigma(q(a)),   sigma(q) = (c_visit + max_b N(b)) * c_scale * q        (equation 8)

    goes on. q(a) is the best objective below a, in [0, 1] over the questions considered; c_visit = 50. Below
    the root each question has a tree of its own, searched as by `search=mcts`; a set that another tree has
    scored is a simulation, but no judge call. The plan is the path rule's: the best of all scored sets, also
    where it lies below a question that the halving dropped. The published search returns one action; here
    nothing is sampled in the end, and with m at least the number of questions the noise decides close races
    alone.

    Where judge calls are few this is no good choice: it gives each first question its share, though sets of
    one size differ less by their first question than by the rest. Under a noisy judge the path is the best by
    posterior mean.

    Parameters
    ----------
    num_simulations : int >= 1, the n above
    max_considered : int >= 1, the m above
    value_scale : float > 0, c_scale: 1 in the paper for board games, 0.1 in mctx, where values are rescaled
    selection, exploration, batch_size : of the trees below the root, see `search.algorithms.mcts.MCTSSearch`
    """

    name = "gumbel"

    def __init__(
        self,
        num_simulations: int = 300,
        max_considered: int = 16,
        value_scale: float = 0.1,
        selection: str = "puct",
        exploration: float | None = None,
        batch_size: int = 8,
    ) -> None:
        if max_considered < 1:
            raise UserError(f"search.max_considered: found {max_considered}, expected an integer >= 1")
        if not (math.isfinite(value_scale) and value_scale > 0):
            raise UserError(f"search.value_scale: found {value_scale}, expected a number > 0")
        self.below = MCTSSearch(num_simulations, selection, exploration, batch_size=batch_size)
        self.num_simulations = num_simulations
        self.max_considered = max_considered
        self.value_scale = value_scale

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache on disk."""
        self.below.warm_up()

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the best path found; see `search.path_rule`."""
        problem.evaluate(np.array([problem.known], np.uint64))
        ran = 1
        root = _Root(self, problem, rng)
        while ran < self.num_simulations and (more := root.phase(self.num_simulations - ran)):
            ran += more
        if ran >= self.num_simulations:
            stopped = "all simulations ran"
        else:
            stopped = "no judge calls left" if problem.calls_left == 0 else "every set is scored"
        plan = finish(problem, simulations=ran, stopped=stopped)
        later = tuple(other for other in plan.alternatives if other.step > 0)
        return Plan(plan.path, plan.scores, ran, stopped, (*root.alternatives(plan.path), *later))


class _Root:
    """The first questions, each with its tree."""

    def __init__(self, settings: GumbelSearch, problem: Problem, rng: np.random.Generator) -> None:
        self.settings, self.problem, self.rng = settings, problem, rng
        self.actions = members(int(problem.askable))
        n = len(self.actions)
        prior = prior_over(problem, int(problem.known), self.actions) if n else np.ones(0)
        logits = np.full(n, -np.inf)  # of a prior of 0: drawn last
        logits[prior > 0] = each(math.log, prior[prior > 0])
        self.selection_value = dict(zip(self.actions, rng.gumbel(size=n) + logits, strict=True))
        self.trees: dict[int, tuple[Tree, SelectionRules]] = {}
        self.visits = dict.fromkeys(self.actions, 0)
        ranked = sorted(self.actions, key=lambda a: (-self.selection_value[a], a))
        self.considered = ranked[: settings.max_considered]
        self.phases = max(1, math.ceil(math.log2(max(1, len(self.considered)))))

    def phase(self, left: int) -> int:
        """Give each question considered its share of simulations, then drop half; return how many ran."""
        n = self.settings.num_simulations
        share = max(1, n // (self.phases * max(1, len(self.considered))))
        ran = 0
        for a in self.considered:
            ran += self._search(a, min(share, left - ran))
        open_ones = [a for a in self.considered if not self._exhausted(a)]
        ranked = sorted(open_ones, key=lambda a: (-self._score(a), a))
        self.considered = ranked[: max(2, len(self.considered) // 2)]
        if not self.considered:  # nothing is left below the survivors: the others have their turn
            self.considered = [a for a in self.actions if not self._exhausted(a)]
        return ran if ran or not self.considered or self.problem.calls_left == 0 else self.phase(left)

    def _search(self, action: int, simulations: int) -> int:
        below = self.settings.below
        if action not in self.trees:
            rules = below.rules(self.problem)
            bit = np.uint64(1 << action)
            rules = rules._replace(
                budget=rules.budget - 1,
                n_askable=rules.n_askable - 1,
                known=rules.known | bit,
                askable=rules.askable & ~bit,
            )
            self.trees[action] = below.new_tree(self.problem), rules
        tree, rules = self.trees[action]
        ran = below.run_judge(self.problem, tree, rules, self.rng, simulations)
        self.visits[action] += ran
        return ran

    def _exhausted(self, action: int) -> bool:
        return action in self.trees and bool(self.trees[action][0].node["exhausted"][ROOT])

    def _value(self, action: int) -> float:
        return float(self.trees[action][0].node["value"][ROOT]) if action in self.trees else math.nan

    def _score(self, action: int) -> float:
        """Return g + logit + sigma(q); a question below which nothing is scored comes last."""
        values = {a: v for a in self.trees if not math.isnan(v := self._value(a))}
        if action not in values:
            return -math.inf
        low, high = min(values.values()), max(values.values())
        q = (values[action] - low) / max(high - low, 1e-8)
        sigma = (_VISITS_OFFSET + max(self.visits.values())) * self.settings.value_scale * q
        return self.selection_value[action] + sigma

    def alternatives(self, path: tuple[int, ...]) -> list[Alternative]:
        """Return visits and value of each first question."""
        return [Alternative(0, a, self.visits[a], self._value(a)) for a in self.actions if path]
