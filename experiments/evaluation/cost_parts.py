"""Estimates what an evaluation will spend, before anything is spent.

Planning is counted by `experiments.runs.cost_estimate`. Beyond it, for each test person: the sets that
the methods' conversations can end in, each on as many samples as the report has, and the distinct prompts of
the model that chooses and rates. Both are bounds: early ends and shared sets take less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from envs import Scenario
from envs.judges.protocol import Capabilities, describe
from envs.llm.costs import RequestCost
from envs.users import User
from envs.users.played_user import PlayedUser
from experiments.evaluation.methods.baselines import RANDOM_ORDERS, STATIC_SETS
from experiments.evaluation.methods.cached_chat import MOST_REQUESTS, CachedChat
from experiments.evaluation.methods.compared_methods import MethodOptions
from experiments.evaluation.methods.conversations import chats_of
from experiments.evaluation.methods.greedy_sets import GREEDY_PEOPLE, greedy_sets
from experiments.evaluation.variations import MANNERS, RATES, SIZES
from experiments.runs.cost_estimate import ATTEMPTS, BESIDE_TOKENS, Amount, Spending, limited, passed
from policies.chat import Messages, known_block, prompt, query_block

_LOOKED_AT = 50
_VARIED = {"unanswered": len(RATES), "answers": len(MANNERS), "table_sizes": len(SIZES) + 1, "domains": 1}
"""How often each person is talked with in a variation, at most."""


@dataclass(frozen=True)
class Part:
    """One thing that is paid for. `calls`: at most; `limits`: names of limits that will end it early."""

    what: str
    calls: float
    expected: Amount
    most: Amount
    limits: tuple[str, ...] = ()

    def __str__(self) -> str:
        early = f" ({', '.join(self.limits)} will end the run early)" if self.limits else ""
        return (
            f"{self.what}: at most {self.calls:,.0f}, that is {self.expected.spent()}, or "
            f"{self.most.spent()} if every reply is the longest and has to be repeated{early}"
        )


def parts(
    test: Sequence[Scenario],
    budget: int,
    options: MethodOptions,
    judges: Sequence[Any],
    planning: Spending | None,
    user: User | None = None,
) -> list[Part]:
    """Return what is paid for, in the order in which it is; nothing where nobody is paid."""
    found = []
    if planning is not None and planning.spends:
        most = planning.most
        found.append(
            Part("judge calls to plan", most.judge_calls, planning.expected, most, planning.ended_by)
        )
    if isinstance(user, PlayedUser):
        names = [s.schema.names_of(s.askable) for s in test]
        costs = [[user.cost(s, own[0])] for s, own in zip(test, names, strict=True) if own]
        what = f"replies of the model {user.name} that plays the users"
        found.append(_part(what, sum(map(len, names)), costs, user.limits, ATTEMPTS))
    for chat in options.chats:
        n = sum(_prompts(s, budget, options, chat) for s in test) * len(judges)
        what = f"prompts of the model {chat.name} that chooses or rates"
        found.append(_part(what, n, _chat_costs(chat, test), chat.limits, MOST_REQUESTS))
    told = describe(judges[0])
    costs = _judge_costs(told, test, budget)
    if costs:
        samples = options.report_samples if told.stochastic else 1
        calls = 1 + samples * sum(_sets(s, budget, options) for s in test)
        found.append(_part("judge calls to score", calls, costs, told.limits, ATTEMPTS))
        widest = max(greedy_sets(int(s.askable).bit_count(), budget) for s in test)
        calls = widest * (len(test) + 2 * GREEDY_PEOPLE)  # static sets: with the domain told and not
        found.append(_part("judge calls to search", len(judges) * calls, costs, told.limits, ATTEMPTS))
    return found


def message(found: Sequence[Part], dry_run: bool, uncounted: Sequence[str] = ()) -> str:
    """Say all of it in one line, or for `dry_run`, which does nothing, in one line each.

    `uncounted`: models that read or look for danger, whose requests are not counted.
    """
    parts = list(map(str, found))
    if uncounted:
        parts.append(f"requests to {' and '.join(uncounted)}, to read what users say, are not counted")
    if not dry_run:
        return f"spending: {'; '.join(parts)} (what is cached is free)"
    lines = [f"{part}." for part in parts] or ["Nothing would be spent."]
    return "\n".join(["dry run: nothing was done.", *lines])


def _repeats(options: MethodOptions) -> int:
    """Return how often the variations talk with a person, under one draw of the judge."""
    return sum(_VARIED[name] for name in options.variations)


def _subsets(n: int, most: int) -> int:
    return sum(math.comb(n, k) for k in range(min(n, most) + 1))


def _sets(scenario: Scenario, budget: int, options: MethodOptions) -> int:
    """Return how many sets of one person are scored, at most."""
    walks = RANDOM_ORDERS + 3 + 2 * (options.chat is not None)
    again = _repeats(options) * (RANDOM_ORDERS + 2)
    n = int(scenario.askable).bit_count()
    return min(_subsets(n, budget), 1 + (walks + again) * budget) + len(STATIC_SETS) + 1


def _prompts(scenario: Scenario, budget: int, options: MethodOptions, chat: CachedChat) -> int:
    """Return how many distinct prompts one person brings, at most: what was asked decides all of them."""
    n = len(scenario.schema)
    total = 0
    if chat is options.chat:
        walks = RANDOM_ORDERS + 4  # nearest, vote, llm, and a tree
        total += 2 * min(_subsets(n, budget - 1), 1 + walks * (budget - 1)) + budget
    of_policy = sum(chat is own for own in chats_of(options.policy))
    return total + of_policy * budget * (1 + options.variation_seeds * _repeats(options))


def _chat_costs(chat: CachedChat, test: Sequence[Scenario]) -> list[list[RequestCost]]:
    return [[chat.cost(_widest(s))] for s in _some(test)]


def _widest(scenario: Scenario) -> Messages:
    """Return a prompt as long as they get: everything known, five long examples."""
    names = scenario.schema.names
    return prompt(
        "next_question",
        {
            "query": query_block(scenario.query),
            "known": known_block(
                {n: str(scenario.profile[n]) for n in scenario.schema.names_of(scenario.askable)}
            ),
            "examples": 5 * ("." * 400 + "\n"),
            "open": "\n".join(names),
        },
    )


def _judge_costs(judge: Capabilities, test: Sequence[Scenario], budget: int) -> list[list[RequestCost]]:
    """Return the requests of a judge call with as much known as conversations end with."""
    ask = judge.request_costs
    if ask is None:
        return []
    found = [ask(s, s.schema.names_of(s.askable)[:budget]) for s in _some(test)]
    return found if any(found) else []


def _some(test: Sequence[Scenario]) -> Sequence[Scenario]:
    return test[:: max(1, len(test) // _LOOKED_AT)]


def _part(what: str, calls: float, costs: Sequence[Sequence[RequestCost]], limits: Any, repeats: int) -> Part:
    requests = fmean(len(cost) for cost in costs) * calls

    def amount(which: int, times: int, of: Callable[[Sequence[float]], float]) -> Amount:
        tokens = of([sum(one.tokens[which] for one in cost) for cost in costs])
        n = calls * times
        others = {
            key: n * of([sum(getattr(one, key)[which] for one in cost) for cost in costs])
            for key in BESIDE_TOKENS
        }
        return Amount(requests=requests * times, tokens=n * tokens, **others)

    expected, most = amount(0, 1, fmean), limited(amount(1, repeats, max), limits)
    return Part(what, calls, expected, most, tuple(passed(expected, limits)))
