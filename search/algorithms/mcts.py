"""Monte Carlo tree search over sets of attributes: `search=mcts`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from envs import UserError
from envs.judges.protocol import ManySurfaces
from search.core.tree import MOST_VISITS, SCORED, SelectionRules, Tree, new_tree
from search.path_rule import TIE, members
from search.plans import ALL_RAN, EVERY_SET, Alternative, Plan
from search.problem import Problem
from search.surrogate.reallocate import finish

if TYPE_CHECKING:
    from search.core.surface_plans import SurfacePlans

Runner = Callable[[Problem, Tree, SelectionRules, np.random.Generator, int], int]
"""(problem, empty tree, its rules, generator, simulations) -> simulations that ran; the tree is filled."""

_DEFAULT_EXPLORATION = {"puct": 3.0, "uct": 0.3}


class MCTSSearch:
    """Plan by Monte Carlo graph search (`search.core.kernels` has the equations).

    A problem with a surface is searched in compiled code alone; otherwise compiled code selects a batch of
    leaves, `Problem.evaluate` scores them, and compiled code backs them up in the order of selection.

    Under a noisy judge the tree holds one evaluation at each set, and the path is the best by posterior mean
    (`surrogate.set_gp`), not by the luckiest look. Judge calls that `max_judge_calls` leaves go into further
    looks at the sets that may be the best (`surrogate.reallocate`).

    Parameters
    ----------
    num_simulations : int >= 1, search iterations (paper: T = 300)
    selection : "puct" (METHOD eq. 3) or "uct"
    exploration : float >= 0, c in units of the range of scores seen; None = 3.0 for puct, 0.3 for uct
    backup : "max" (best set below; each simulation scores a new set) or "mean" (METHOD: Q = W / N)
    rollout : score a leaf by a random completion to the budget instead of the leaf itself (METHOD's
        rollouts, epsilon-greedy on the prior with eps(d) = 0.2 / (1 + exp(d - D / 2))); needs `backup="mean"`
    batch_size : int >= 1, leaves scored at once by a judge outside the kernel
    """

    name = "mcts"

    def __init__(
        self,
        num_simulations: int = 300,
        selection: str = "puct",
        exploration: float | None = None,
        backup: str = "max",
        rollout: bool = False,
        batch_size: int = 8,
    ) -> None:
        if not 1 <= num_simulations < MOST_VISITS:
            wanted = f"expected an integer from 1 to {MOST_VISITS - 1:,}"
            raise UserError(f"search.num_simulations: found {num_simulations}, {wanted}")
        if selection not in _DEFAULT_EXPLORATION:
            raise UserError(f"search.selection: found {selection!r}, expected puct or uct")
        if backup not in ("max", "mean"):
            raise UserError(f"search.backup: found {backup!r}, expected max or mean")
        if rollout and backup != "mean":
            raise UserError("search.rollout: found true with search.backup=max, expected backup=mean")
        if batch_size < 1:
            raise UserError(f"search.batch_size: found {batch_size}, expected an integer >= 1")
        if exploration is not None and not (math.isfinite(exploration) and exploration >= 0):
            raise UserError(f"search.exploration: found {exploration}, expected a number >= 0")
        self.num_simulations = num_simulations
        self.selection = selection
        self.exploration = _DEFAULT_EXPLORATION[selection] if exploration is None else exploration
        self.backup = backup
        self.rollout = rollout
        self.batch_size = batch_size

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the best path found; see `search.path_rule`."""
        run = self.runner(problem)
        tree = self.new_tree(problem, in_batches=run == self.run_judge)
        ran = run(problem, tree, self.rules(problem), rng, self.num_simulations)
        if ran == self.num_simulations:
            stopped = ALL_RAN
        else:
            stopped = "no judge calls left" if problem.calls_left == 0 else EVERY_SET
        plan = finish(problem, simulations=ran, stopped=stopped, alternatives=())
        return Plan(plan.path, plan.scores, ran, stopped, _alternatives(tree, problem, plan.path))

    def plan_surfaces(
        self, surfaces: ManySurfaces, askable: np.ndarray, n_attributes: int, budget: int, dropout: float
    ) -> SurfacePlans | None:
        """Return what `plan` does of each of K exact problems without costs, limit and prior.

        `askable`: uint64[K]. None where this search does not run in compiled code alone.
        """
        if self.rollout:
            return None
        from search.core import surface_plans

        most = int(np.bitwise_count(askable).max())
        budget = min(budget, most)
        n_sets = sum(math.comb(most, k) for k in range(budget + 1))
        room = surface_plans.new_room(budget)
        # Beyond what the search needs: prefixes of the path that it has not scored.
        n_nodes = min(self.num_simulations + 1 + 2 * len(room.sets), n_sets)
        tree = new_tree(n_nodes, n_attributes, in_batches=False)
        plans = surface_plans.no_plans(len(askable), budget, n_attributes)
        surface_plans.surface_planner(*self._variant)(
            tree,
            self._rules_over(0, (1 << n_attributes) - 1, budget),
            *surfaces,
            askable,
            self.num_simulations,
            1 - dropout,
            TIE,
            room,
            plans,
        )
        return plans

    def warm_up(self) -> None:
        """Compile the kernel of many plans, or load it from the cache on disk."""
        from search.core.surface_plans import surface_planner

        surface_planner(*self._variant)

    @property
    def _variant(self) -> tuple[bool, bool]:
        return self.selection == "uct", self.backup == "mean"

    def rules(self, problem: Problem) -> SelectionRules:
        """Return what the kernels need to know of `problem`."""
        rules = self._rules_over(int(problem.known), int(problem.askable), problem.budget)
        return rules._replace(costly=problem.cost_weight > 0)

    def has_prior(self, problem: Problem) -> bool:
        """Tell whether selection is steered by the prior of `problem`: UCB1 knows none."""
        return problem.has_prior and self.selection == "puct"

    def _rules_over(self, known: int, askable: int, budget: int) -> SelectionRules:
        n_askable = askable.bit_count()
        return SelectionRules(
            budget=min(budget, n_askable),
            n_askable=n_askable,
            known=np.uint64(known),
            askable=np.uint64(askable),
            exploration=float(self.exploration),
            costly=False,
        )

    def new_tree(self, problem: Problem, in_batches: bool = True) -> Tree:
        """Return an empty tree for this search of `problem`; `run_surface` needs no room for batches."""
        rules = self.rules(problem)
        n_sets = sum(math.comb(rules.n_askable, k) for k in range(rules.budget + 1))
        n_nodes = min(self.num_simulations + self.batch_size + 1, n_sets)
        return new_tree(
            n_nodes,
            problem.n_attributes,
            has_prior=self.has_prior(problem),
            in_batches=in_batches,
            penalty=problem.cost_weight * problem.costs,
        )

    def runner(self, problem: Problem) -> Runner:
        """Return how `problem` is searched: in compiled code on its surface, or by its judge in batches.

        A prior is asked and a rollout drawn in Python.
        """
        in_python = problem.surface is None or self.has_prior(problem) or self.rollout
        return self.run_judge if in_python else self._run_surface_and_ask

    def _run_surface_and_ask(
        self, problem: Problem, tree: Tree, rules: SelectionRules, rng: np.random.Generator, simulations: int
    ) -> int:
        ran = self.run_surface(problem, tree)
        scored = tree.column("status") == SCORED
        masks = tree.column("mask")[scored]
        if rules.costly:  # the tree has objectives, and a cost added again is a rounding away
            problem.evaluate(masks)
        else:  # a surface is its judge's twin; the report asks the judge itself, and would find out
            problem.evaluator.keep(masks, tree.column("score")[scored])
        return ran

    def run_surface(self, problem: Problem, tree: Tree) -> int:
        """Search the surface of `problem` in compiled code from the root on; return the simulations run."""
        from search.core import kernels

        assert problem.surface is not None  # noqa: S101 - the callers' promise
        rules = self.rules(problem)
        limit = len(tree.node) if problem.calls_left is None else problem.calls_left
        nodes, edges = np.zeros(rules.budget + 1, np.int64), np.zeros(rules.budget, np.int64)
        function, params = problem.surface
        run = kernels.surface_search(*self._variant)
        return int(run(tree, rules, nodes, edges, function, params, self.num_simulations, limit))

    def run_judge(
        self, problem: Problem, tree: Tree, rules: SelectionRules, rng: np.random.Generator, simulations: int
    ) -> int:
        """Run up to `simulations` more from `rules.known` on, scored by the judge; return how many ran."""
        from search.core import kernels

        has_prior = self.has_prior(problem)
        variant = *self._variant, has_prior
        select, back_up = kernels.batch_selection(*variant), kernels.batch_backup(*variant)
        nodes = np.zeros((self.batch_size, rules.budget + 1), np.int64)
        edges = np.zeros((self.batch_size, rules.budget), np.int64)
        depths = np.zeros(self.batch_size, np.int64)
        ran = 0
        while ran < simulations:
            # The root alone first: without its score and prior a batch would have one leaf anyway.
            room = min(self.batch_size if len(tree.column("mask")) else 1, simulations - ran)
            if problem.calls_left is not None:
                room = min(room, problem.calls_left)
            count = select(tree, rules, nodes, edges, depths[:room])
            if count == 0:
                break
            leaves = nodes[np.arange(count), depths[:count]]
            targets = self._targets(problem, tree, rules, leaves, rng)
            scores = problem.objectives(targets, problem.evaluate(targets))
            if has_prior:
                self._expand(problem, tree, rules, leaves)  # unscored ones too: they are searched below
            back_up(tree, rules, nodes, edges, depths, scores)
            ran += count
        return ran

    def _targets(
        self,
        problem: Problem,
        tree: Tree,
        rules: SelectionRules,
        leaves: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return the sets to score for `leaves`: themselves, or their completions by rollout."""
        masks = tree.column("mask")[leaves]
        if self.rollout and tree.column("visits")[0]:  # the root itself is scored: every path starts there
            for i, mask in enumerate(masks.tolist()):
                masks[i] = _complete(mask, problem, rules, rng)
        return masks

    def _expand(self, problem: Problem, tree: Tree, rules: SelectionRules, leaves: np.ndarray) -> None:
        for leaf in leaves.tolist():
            mask = int(tree.node["mask"][leaf])
            legal = members(int(rules.askable) & ~mask)
            spent = rules.n_askable - len(legal) == rules.budget  # nothing more is asked: a prior for nothing
            if tree.node["status"][leaf] != SCORED and not spent:
                tree.prior[leaf, legal] = prior_over(problem, mask, legal)


def prior_over(problem: Problem, mask: int, legal: list[int]) -> np.ndarray:
    """Return float64[len(legal)], the prior over what can be asked, summing to 1; uniform if it is silent."""
    weights = problem.prior(mask)
    uniform = np.full(len(legal), 1.0 / len(legal))
    if weights is None:
        return uniform
    wanted = f"expected {problem.n_attributes} finite numbers >= 0"
    try:
        weights = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"prior: found a {type(weights).__name__} of no numbers, {wanted}") from None
    if weights.shape != (problem.n_attributes,):
        raise UserError(f"prior: found shape {weights.shape}, {wanted}")
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise UserError(f"prior: found a number that is negative or not finite, {wanted}")
    total = weights[legal].sum()
    return weights[legal] / total if total > 0 else uniform


def _complete(mask: int, problem: Problem, rules: SelectionRules, rng: np.random.Generator) -> int:
    """Return `mask` filled up to the budget (never beyond it) by epsilon-greedy choices on the prior."""
    depth = (mask & ~int(rules.known)).bit_count()
    while depth < rules.budget:
        legal = members(int(rules.askable) & ~mask)
        epsilon = 0.2 / (1.0 + math.exp(depth - rules.budget / 2))
        prior = prior_over(problem, mask, legal) if problem.has_prior else None
        if prior is None or rng.random() < epsilon:
            choice = int(rng.integers(len(legal)))
        else:
            choice = int(np.argmax(prior))
        mask |= 1 << legal[choice]
        depth += 1
    return mask


def _alternatives(tree: Tree, problem: Problem, path: tuple[int, ...]) -> tuple[Alternative, ...]:
    """Return visits and values of every question weighed along `path`, as far as the tree goes."""
    rows: list[Alternative] = []
    mask = int(problem.known)
    masks, values = tree.column("mask"), tree.column("value")
    for step, chosen in enumerate(path):
        asked = members(int(problem.askable) & ~mask)
        found = np.flatnonzero(masks == np.uint64(mask))
        edges = tree.edges_of(int(found[0])) if len(found) else ()
        seen = {a: (n, float(values[child])) for a, child, n in edges}
        rows += [Alternative(step, a, *seen.get(a, (0, math.nan))) for a in asked]
        mask |= 1 << chosen
    return tuple(rows)
