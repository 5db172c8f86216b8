"""A LangGraph node that asks before a model answers.

    graph = StateGraph(AskedState)
    graph.add_node("ask", ask_node(Agent.load()))
    graph.add_node("answer", answer)                 # reads state["turn"]: kind, context, resources, ...
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", goes_on, {True: "ask", False: "answer"})
    app = graph.compile(checkpointer=...)            # one that outlives the process; it keeps what was said
    app.invoke({"message": "Should I quit?"}, config)         # its result holds "__interrupt__": the question
    app.invoke(Command(resume="my reply"), config)            # or {"message": "my reply"}; "" declines

Each run of the node takes one step: it hears a message, or it puts the open question. Nothing happens before
that question, so that LangGraph may run the node again as often as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from langgraph.types import interrupt

from policies import Agent, Turn


class AskedState(TypedDict, total=False):
    """The part of a graph's state that the node reads and writes.

    `message`: what the person wrote, "" once it was heard; `conversation`: the agent's own, with what was
    said; `turn`: what comes next (`kind` "ask", "answer" or "escalate", and the fields of `policies.Turn`).
    """

    message: str
    conversation: str
    turn: dict[str, Any]


def ask_node(agent: Agent) -> Callable[[AskedState], dict[str, Any]]:
    """Return the node; all its runs share the plans and parts of `agent`."""

    def ask(state: AskedState) -> dict[str, Any]:
        message, said = state.get("message", ""), state.get("conversation", "")
        if not message and said and state["turn"]["kind"] == "ask":
            message = interrupt(state["turn"])
        own = Agent.from_json(said, agent) if said else agent.new()
        turn = own.reply(message) if said else own.start(message)
        return {"message": "", "conversation": own.to_json(), "turn": _shown(turn, own.context)}

    return ask


def goes_on(state: Mapping[str, Any]) -> bool:
    """Tell whether a question is open: the node comes again then."""
    return bool(state["turn"]["kind"] == "ask")


def _shown(turn: Turn, context: Mapping[str, str]) -> dict[str, Any]:
    """Return `turn` as plain data, which any checkpointer can keep."""
    names = ("kind", "note", "attribute", "question", "why", "number", "of", "reason", "message")
    places = [{"where": r.where, "name": r.name, "contact": r.contact} for r in turn.resources]
    plain = {name: getattr(turn, name) for name in names}
    return {**plain, "context": dict(context), "declined": [*turn.declined], "resources": places}
