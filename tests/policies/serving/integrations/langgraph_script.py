"""Runs in an environment with LangGraph: `langgraph_script.py CASE CHECKPOINTS`; prints what happened."""

import json
import sys

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from policies.serving.integrations.langgraph_node import AskedState, ask_node, goes_on
from tests.policies.serving.small_agent import shared

RUNS = []


def counted(node):
    def run(state):
        RUNS.append("ask")
        return node(state)

    return run


def answer(state):
    RUNS.append("answer")
    return {}


def graph(saver):
    built = StateGraph(AskedState)
    built.add_node("ask", counted(ask_node(shared())))
    built.add_node("answer", answer)
    built.add_edge(START, "ask")
    built.add_conditional_edges("ask", goes_on, {True: "ask", False: "answer"})
    built.add_edge("answer", END)
    return built.compile(checkpointer=saver)


def main(case, checkpoints):
    seen = []
    with SqliteSaver.from_conn_string(checkpoints) as saver:
        app = graph(saver)
        for step in json.loads(case):
            given = Command(resume=step["resume"]) if "resume" in step else step
            found = app.invoke(given, {"configurable": {"thread_id": "1"}})
            waits = found.pop("__interrupt__", ())
            seen.append(
                {"turn": found["turn"], "asked": [i.value["question"] for i in waits], "runs": [*RUNS]}
            )
            RUNS.clear()
    print(json.dumps(seen))


main(*sys.argv[1:])
