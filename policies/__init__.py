"""Policies: what follows the stored plans in a conversation with a person whose profile nobody knows."""

from policies.agent import Agent, converse
from policies.dialogue_state import Choice, Decision, Situation
from policies.plan_index import Memory
from policies.turn import Turn

__all__ = ["Agent", "Choice", "Decision", "Memory", "Situation", "Turn", "converse"]
