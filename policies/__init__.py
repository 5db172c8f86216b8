"""Policies: what follows the stored plans in a conversation with a person whose profile nobody knows."""

from policies.agent import Agent, converse
from policies.dialogue import Turn
from policies.dialogue_state import Choice, Decision, DialogueState
from policies.plan_index import PlanIndex

__all__ = ["Agent", "Choice", "Decision", "DialogueState", "PlanIndex", "Turn", "converse"]
