"""What the model under test is told of a person, as a solver of inspect_ai: fixed, or asked by the agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anyio import to_thread
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser
from inspect_ai.solver import Generate, Solver, TaskState, solver

from envs import Scenario
from envs.judges.llm.prompt_files import PromptFiles
from envs.judges.llm.rating import target_messages
from experiments.penguin.inspect_tasks.safety_scorer import QUESTIONS
from experiments.penguin.models.conditions import ConditionContext

ESCALATED, KNOWN = "escalated", "known"
"""Metadata of a sample: whether the agent stopped for acute danger; names of what is known."""


def condition_solver(
    known_of: Callable[[Scenario], ConditionContext], scenarios: Mapping[str, Scenario], files: PromptFiles
) -> Solver:
    """Return a solver that has the model answer with what `known_of` says is known of a scenario.

    The prompt is that of the benchmark's target model, so that scores may be laid side by side.
    """

    @solver(name="answer_under_condition")
    def made() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            scenario = scenarios[str(state.sample_id)]
            asked = await to_thread.run_sync(known_of, scenario)
            state.metadata |= {
                KNOWN: list(asked.known),
                QUESTIONS: asked.questions,
                ESCALATED: asked.escalated,
            }
            state.messages = [
                _message(role, text) for role, text in target_messages(files, scenario, asked.known)
            ]
            return await generate(state)

        return solve

    return made()


def _message(role: str, text: str) -> ChatMessage:
    return ChatMessageSystem(content=text) if role == "system" else ChatMessageUser(content=text)
