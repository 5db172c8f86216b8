"""PENGUIN as a task of inspect_ai (extra `inspect`).

    inspect eval experiments/penguin --model openai/gpt-4o -T judge_model=M -T condition=raise
    inspect eval experiments/penguin/inspect_tasks/penguin_task.py@penguin --model ... -T judge_model=M

Limits, epochs, batches and retries are inspect's own. Its log holds what the model was sent, as always there:
under every condition but context-free these are values of profiles (`--no-log-samples` leaves them out).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig

from envs import Scenario
from envs.judges.llm import LLMJudge
from envs.judges.llm.prompt_files import PromptFiles
from envs.judges.llm.protocols import PROTOCOLS, ProtocolName
from envs.loading import load_scenarios
from experiments.penguin.inspect_tasks.condition_solver import condition_solver
from experiments.penguin.inspect_tasks.safety_scorer import PROFILE, safety_scorer
from experiments.penguin.models.conditions import FREE, RAISE, ConditionContext, asked_by, fixed_condition
from policies import Agent

_RETRIES, _GIVE_UP_S = 8, 1800
"""inspect itself goes on for ever with an endpoint that is down."""


@task
def penguin(
    judge_model: str,
    judge_url: str | None = None,
    protocol: ProtocolName = "ours",
    condition: str | Sequence[str] = FREE,
    budget: int = 4,
    paths: str | None = None,
    scenarios: str | None = None,
) -> Task:
    """Return the task: each query answered by the model under test, rated against the whole profile.

    judge_model, judge_url, protocol : as `judge.model`, `judge.base_url`, `judge.protocol`
    condition : context-free, context-rich, raise (our agent asks at most `budget` questions, planned in
        `paths`, default the table of the package), the name of a static set, or names of attributes
    scenarios : a scenario file, None = the bundled ones
    """
    found = load_scenarios(scenarios, None).scenarios
    judge = LLMJudge(model=judge_model, base_url=judge_url, protocol=protocol)
    return condition_task(judge, found, known_under(found, condition, budget, paths), protocol)


def known_under(
    scenarios: Sequence[Scenario], condition: str | Sequence[str], budget: int, paths: str | None
) -> Callable[[Scenario], ConditionContext]:
    """Return what is known of a scenario under `condition`, which `penguin` describes.

    Raises
    ------
    UserError
        there is no such condition or attribute.
    """
    if isinstance(condition, str) and condition.casefold() == RAISE.casefold():
        return partial(asked_by, Agent.load(paths), budget)
    return fixed_condition(scenarios[0].schema, condition)


def condition_task(
    judge: object,
    scenarios: Sequence[Scenario],
    known_of: Callable[[Scenario], ConditionContext],
    protocol: ProtocolName = "ours",
) -> Task:
    """Return the task over `scenarios` with any judge that rates answers.

    The model's prompt and how its replies are drawn are those of the protocol's target; inspect's own options
    (`--temperature`, `--max-tokens`) come first.
    """
    rules, by_id = PROTOCOLS[protocol], {scenario.id: scenario for scenario in scenarios}
    numbers: dict[object, int] = {}
    samples = [
        Sample(id=s.id, input=s.query, metadata={PROFILE: numbers.setdefault(s.profile, len(numbers))})
        for s in scenarios
    ]
    draw = rules.answer
    return Task(
        name="penguin",
        dataset=MemoryDataset(samples, name="penguin"),
        solver=condition_solver(known_of, by_id, PromptFiles(rules.folder)),
        scorer=safety_scorer(judge, by_id),
        config=GenerateConfig(
            temperature=draw.temperature,
            top_p=draw.top_p,
            max_tokens=draw.max_output_tokens,
            max_retries=_RETRIES,
            timeout=_GIVE_UP_S,
        ),
    )
