"""What a run will take, said before it takes it: judge calls, requests, tokens, dollars.

At most: every set within the budget is scored, or `max_judge_calls` of them (or what a searcher with
`most_judge_calls(n_askable, budget)` says), and every reply is the longest and unusable as often as it may
be. Expected: as many sets as the search has simulations (or what a searcher with
`expected_judge_calls(n_askable, budget)` says), no reply unusable, prompts of half the budget, replies as
long as `envs.judges.llm.rating` states. Neither counts on the cache, nor the repetitions of requests that the
endpoint leaves unanswered. A judge or prior that has `request_costs` is one that spends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from envs import Scenario
from envs.judges.protocol import Capabilities, describe
from envs.llm.client import ATTEMPTS
from envs.llm.costs import in_dollars
from envs.loading.stored_scenarios import askable_counts
from experiments.runs.progress import duration
from search.planning import PlanOptions
from search.problem import SearcherCapabilities, describe_searcher

_LOOKED_AT = 100
"""Scenarios whose prompts are measured (at most twice as many), evenly over the file."""


@dataclass(frozen=True)
class Amount:
    """Sums over a run; `dollars` NaN = a price is not known, inf = nothing limits the replies' length.

    `direct_dollars`, `batch_dollars`: with all sent directly, and with all that can wait sent in batches.
    `seconds`: of a model of this machine, one request at a time; 0 where nobody can tell.
    """

    search_calls: float = 0.0
    report_calls: float = 0.0
    full_calls: float = 0.0
    requests: float = 0.0
    tokens: float = 0.0
    dollars: float = 0.0
    direct_dollars: float = 0.0
    batch_dollars: float = 0.0
    seconds: float = 0.0

    @property
    def judge_calls(self) -> float:
        """Calls of the search, of the report and with everything known."""
        return self.search_calls + self.report_calls + self.full_calls

    def plus(self, other: Amount) -> Amount:
        """Return the sums of both."""
        return Amount(**{key: getattr(self, key) + getattr(other, key) for key in vars(self)})

    def times(self, calls: float) -> Amount:
        """Return what so many calls spend, each of them this; nothing for none of an unknown price."""
        return Amount(**{key: getattr(self, key) * calls if calls else 0.0 for key in _SPENT})

    def many(self, times: int) -> Amount:
        """Return the sums over so many of these."""
        return Amount(**{key: value * times for key, value in vars(self).items()})

    def spent(self) -> str:
        """Say requests, tokens and dollars, and how long a model of this machine takes."""
        dollars = "dollars unknown (no price)" if math.isnan(self.dollars) else in_dollars(self.dollars)
        tokens = f"{self.tokens / 1e6:,.2f} M tokens"
        if math.isinf(self.tokens):
            tokens = "any number of tokens (max_output_tokens=null)"
        if math.isinf(self.dollars):
            dollars = "any number of dollars"
        elif self.direct_dollars > self.batch_dollars == self.dollars:
            dollars += f" in batches ({in_dollars(self.direct_dollars)} sent directly)"
        elif self.batch_dollars < self.direct_dollars == self.dollars:
            dollars += f" ({in_dollars(self.batch_dollars)} with judge.batch=true)"
        time = f", about {duration(self.seconds)} on this machine" if self.seconds else ""
        return f"{self.requests:,.0f} requests, {tokens}, {dollars}{time}"


@dataclass(frozen=True)
class Spending:
    """What a run takes as expected, and at most.

    `spends`: whether anything is asked of a server. `ended_by`: limits that what is expected would pass.
    """

    scenarios: int
    expected: Amount
    most: Amount
    spends: bool
    ended_by: tuple[str, ...] = ()

    def first_line(self) -> str:
        """Say it in one line, for the beginning of a run that spends."""
        expected, most = self.expected, self.most
        return (
            f"spending: expected {expected.judge_calls:,.0f} judge calls, {expected.spent()}; "
            f"at most {most.judge_calls:,.0f} judge calls, {most.spent()} (what is cached is free)"
            f"{self._early_end()}"
        )

    def _early_end(self) -> str:
        return f"; {', '.join(self.ended_by)} will end the run early" if self.ended_by else ""

    def dry_run(self, n_bad: int) -> str:
        """Say it for `dry_run=true`, which runs nothing."""
        most, expected = self.most, self.expected
        lines = [
            f"dry run: {self.scenarios:,} scenarios, {n_bad:,} bad records; "
            f"at most {most.search_calls:,.0f} judge calls to search, {most.report_calls:,.0f} to report and "
            f"{most.full_calls:,.0f} with everything known. Nothing was run.",
            f"expected: {expected.search_calls:,.0f} to search, {expected.report_calls:,.0f} to report and "
            f"{expected.full_calls:,.0f} with everything known.",
        ]
        if self.spends:
            lines += [
                f"at most {most.spent()}: every reply the longest, and unusable {ATTEMPTS - 1} times.",
                f"expected {expected.spent()}: nothing cached, nothing repeated, 4 bytes a token"
                f"{self._early_end()}.",
            ]
        return "\n".join(lines)


def spending(
    scenarios: Sequence[Scenario], options: PlanOptions, searcher: Any, judge: Any, prior: Any = None
) -> Spending:
    """Return what planning `scenarios` takes."""
    told, judge_told, prior_told = describe_searcher(searcher), describe(judge), describe(prior, "prior")
    expected, most = Amount(), Amount()
    ranked = [0.0, 0.0]
    for n, times in askable_counts(scenarios):  # nothing else of a scenario counts
        calls = _calls(n, options, told, judge_told.stochastic)
        expected, most = expected.plus(calls[0].many(times)), most.plus(calls[1].many(times))
        ranked = [a + b * times for a, b in zip(ranked, _rankings(n, options, told, prior_told), strict=True)]
    parts: list[tuple[Capabilities, float, float]] = [
        (judge_told, expected.judge_calls, most.judge_calls),
        (prior_told, ranked[0], ranked[1]),
    ]
    spends, ended_by = False, list[str]()
    for part, calls_expected, calls_most in parts:
        costs = _costs(part, scenarios, options.budget)
        if costs is None:
            continue
        spends = True
        wanted = costs[0].times(calls_expected)
        ended_by += passed(wanted, part.limits)
        expected = expected.plus(wanted)
        most = most.plus(limited(costs[1].times(calls_most * ATTEMPTS), part.limits))
    return Spending(len(scenarios), expected, most, spends, tuple(ended_by))


def _calls(
    n: int, options: PlanOptions, searcher: SearcherCapabilities, stochastic: bool
) -> tuple[Amount, Amount]:
    """Return the judge calls of one scenario with `n` askable attributes, as expected and at most."""
    length = min(options.budget, n)
    # Under a noisy judge simulations may look at sets again.
    repeats = searcher.num_simulations or 0 if stochastic else 0
    sets = sum(math.comb(n, k) for k in range(length + 1)) + repeats
    bound = searcher.most_judge_calls
    if bound is not None:
        sets = min(sets, bound(n, length))
    limit = options.max_judge_calls
    if limit is not None and stochastic:
        most = wanted = limit
    else:
        most = sets if limit is None else min(sets, limit)
        if searcher.expected_judge_calls is not None:
            wanted = searcher.expected_judge_calls(n, length)
        else:
            wanted = most if searcher.num_simulations is None else searcher.num_simulations
        most = max(most, wanted) if stochastic else most  # it may look at a set more than once
    looks = options.report_samples if stochastic else 1
    # A deterministic judge has scored the path's sets already.
    report = looks * (length + 1) if stochastic else 0
    amount = Amount(report_calls=report, full_calls=looks)
    return replace(amount, search_calls=min(most, wanted)), replace(amount, search_calls=most)


def _rankings(
    n: int, options: PlanOptions, searcher: SearcherCapabilities, prior: Capabilities
) -> tuple[float, float]:
    """Return how many sets a ranking prior is asked about, as expected and at most."""
    depth = min(prior.ranking_depth, options.budget, n)
    sets = sum(math.comb(n, k) for k in range(depth))
    wanted = sets if searcher.num_simulations is None else searcher.num_simulations
    return float(min(sets, wanted)), float(sets)


def _costs(part: Capabilities, scenarios: Sequence[Scenario], budget: int) -> tuple[Amount, Amount] | None:
    """Return what one call of a judge or prior takes: mean over scenarios, and the most of one."""
    if part.request_costs is None:
        return None
    found = []
    for scenario in scenarios[:: max(1, len(scenarios) // _LOOKED_AT)]:
        names = scenario.schema.names_of(scenario.askable)
        half = part.request_costs(scenario, names[: (budget + 1) // 2])
        found.append((half, part.request_costs(scenario, names[:budget])))
    if not any(half for half, _ in found):
        return None
    expected = [_amount(half, 0) for half, _ in found]
    most = [_amount(whole, 1) for _, whole in found]
    return (
        Amount(**{key: fmean(getattr(a, key) for a in expected) for key in _SPENT}),
        Amount(**{key: max(getattr(a, key) for a in most) for key in _SPENT}),
    )


BESIDE_TOKENS = ("seconds", "dollars", "direct_dollars", "batch_dollars")
_SPENT = ("requests", "tokens", *BESIDE_TOKENS)


def amount_of(costs: Sequence[Any]) -> Amount:
    """Return what requests of these costs (`envs.llm.costs.RequestCost`) take together, as expected."""
    return _amount(costs, 0)


def _amount(costs: Sequence[Any], which: int) -> Amount:
    return Amount(
        requests=len(costs),
        tokens=sum(cost.tokens[which] for cost in costs),
        **{key: sum(getattr(cost, key)[which] for cost in costs) for key in BESIDE_TOKENS},
    )


def _limits(limits: Any) -> list[tuple[str, str, float]]:
    """Return (name of a limit, field of `Amount`, value) of the limits that are set."""
    names = (("max_requests", "requests"), ("max_tokens", "tokens"), ("max_cost", "dollars"))
    given = [(name, key, getattr(limits, name)) for name, key in names]
    return [(name, key, float(value)) for name, key, value in given if value is not None]


def passed(amount: Amount, limits: Any) -> list[str]:
    """Return the run's own limits (`envs.llm.Limits`) that `amount` would pass, as they are configured."""
    return [
        f"{limits.place}.{name}={limit:g}"
        for name, key, limit in _limits(limits)
        if getattr(amount, key) > limit
    ]


def limited(amount: Amount, limits: Any) -> Amount:
    """Return `amount` as far as the run's own limits allow it."""
    for _, key, limit in _limits(limits):
        wanted = getattr(amount, key)
        amount = replace(amount, **{key: min(limit, wanted)})  # NaN: no price, the limit holds
        if wanted > limit and math.isfinite(amount.seconds):
            amount = replace(amount, seconds=amount.seconds * limit / wanted)
    return amount
