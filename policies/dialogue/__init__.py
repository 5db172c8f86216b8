"""One conversation: its state, its turns, what a reply does to it, and its JSON."""

from policies.dialogue.conversation import Conversation
from policies.dialogue.steps import Responder, Steps
from policies.dialogue.turn import Turn

__all__ = ["Conversation", "Responder", "Steps", "Turn"]
