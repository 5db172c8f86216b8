"""What is known of each person when a model answers: the conditions of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from envs import Scenario, Schema, UserError
from envs.users import ProfileUser
from experiments.evaluation.methods.baselines import STATIC_SETS
from policies import Agent
from policies.acquisition import AutoAcquisition
from policies.composed import ComposedPolicy

FREE, RICH, RAISE = "context-free", "context-rich", "RAISE"


class Condition(NamedTuple):
    """One condition: the names that are known of each scenario, and how many questions that took.

    `escalated`: in how many conversations the agent stopped for acute danger.
    """

    name: str
    contexts: tuple[tuple[str, ...], ...]
    questions: tuple[int, ...]
    escalated: int = 0


class ConditionContext(NamedTuple):
    """What is known of one scenario when a model answers, and what that took; see `Condition`."""

    known: tuple[str, ...]
    questions: int
    escalated: bool = False


def fixed_condition(schema: Schema, condition: str | Sequence[str]) -> Callable[[Scenario], ConditionContext]:
    """Return what is known of a scenario under a condition that is the same for all.

    `condition`: `context-free`, `context-rich`, the name of a static set, or names of attributes.

    Raises
    ------
    UserError
        there is no such condition or attribute.
    """
    if condition == RICH:
        return lambda scenario: _told(scenario, scenario.askable, None)
    if condition == FREE:
        members: tuple[str, ...] = ()
    elif isinstance(condition, str) and condition in STATIC_SETS:
        members = STATIC_SETS[condition]
    else:
        members = (condition,) if isinstance(condition, str) else tuple(condition)
    for name in members:
        if name not in schema.names:
            expected = ", ".join((FREE, RICH, RAISE.casefold(), *STATIC_SETS, *schema.names))
            raise UserError(f"condition: found {name!r}, expected some of {expected}")
    return lambda scenario: _told(scenario, schema.mask(members) & scenario.askable, len(members))


def asked_by(agent: Agent, budget: int, scenario: Scenario) -> ConditionContext:
    """Let `agent` ask the person, who tells the profile's values, at most `budget` questions."""
    user, asked = ProfileUser(), list[str]()
    turn = agent.start(scenario.query)
    while turn.kind == "ask" and turn.attribute is not None and len(asked) < budget:
        asked.append(turn.attribute)
        turn = agent.reply(user.answer(scenario, turn.attribute, turn.question).text)
    known = scenario.schema.mask(a for a in asked if a in scenario.schema.names) & scenario.askable
    return _told(scenario, known, len(asked))._replace(escalated=turn.kind == "escalate")


def without_plan(agent: Agent) -> str:
    """Return what to say where the default policy finds no plan for answers beside its table; else ""."""
    plans, policy = agent.plan_index, agent.policy
    default = isinstance(policy, ComposedPolicy) and isinstance(policy.acquisition, AutoAcquisition)
    if not default or plans.trees or plans.histories:
        return ""
    return (
        "RAISE followed the votes of the nearest stored paths: no plan that goes by answers lies beside its "
        "table (raise-planner population beside=RUN writes one)."
    )


def _told(scenario: Scenario, known: int, questions: int | None) -> ConditionContext:
    names = scenario.schema.names_of(known)
    return ConditionContext(names, len(names) if questions is None else questions)


def conditions(
    scenarios: Sequence[Scenario],
    agent: Agent,
    budget: int,
    single: Sequence[str],
    on_scenario: Callable[[], None] = lambda: None,
) -> list[Condition]:
    """Return all conditions over `scenarios`; what somebody's profile lacks cannot become known.

    One of the static sets has as many questions as RAISE may ask: those that add most over the agent's table.
    `on_scenario` is called after each conversation.
    """
    schema = scenarios[0].schema
    found: dict[str, Callable[[Scenario], ConditionContext]] = {FREE: fixed_condition(schema, FREE)}
    found |= {f"only {name}": fixed_condition(schema, (name,)) for name in single}
    usable = [name for name, members in STATIC_SETS.items() if set(members) <= set(schema.names)]
    found |= {name: fixed_condition(schema, name) for name in usable}
    ranked = (agent.plan_index.schema.names[a] for a in agent.plan_index.ranking)
    table = [name for name in ranked if name in schema.names][:budget]
    if all(set(table) != set(STATIC_SETS[name]) for name in usable):
        found[f"static-{len(table)} of the table"] = fixed_condition(schema, table)

    def asked(scenario: Scenario) -> ConditionContext:
        told = asked_by(agent, budget, scenario)
        on_scenario()
        return told

    found[f"{RAISE}, budget {budget}"] = asked
    found[RICH] = fixed_condition(schema, RICH)
    return [_condition(name, known_of, scenarios) for name, known_of in found.items()]


def _condition(
    name: str, known_of: Callable[[Scenario], ConditionContext], scenarios: Sequence[Scenario]
) -> Condition:
    asked = [known_of(scenario) for scenario in scenarios]
    return Condition(
        name,
        tuple(a.known for a in asked),
        tuple(a.questions for a in asked),
        sum(a.escalated for a in asked),
    )
