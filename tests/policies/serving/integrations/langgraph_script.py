"""Runs in an environment with LangGraph: `langgraph_script.py CASE CHECKPOINTS HOW`; prints what happened.

HOW: "plain"; "async", by the asynchronous calls; "inner", as a graph within a graph.
"""

import asyncio
import json
import sys

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from policies.serving.integrations.langgraph_node import AskedState, ask_node, goes_on
from tests.policies.serving.small_agent import shared

RUNS = []
THREAD = {"configurable": {"thread_id": "1"}}


def counted(node):
    def run(state):
        RUNS.append("ask")
        return node(state)

    return run


def answer(state):
    RUNS.append("answer")
    return {}


def graph(saver, how):
    built = StateGraph(AskedState)
    built.add_node("ask", counted(ask_node(shared())))
    built.add_node("answer", answer)
    built.add_edge(START, "ask")
    built.add_conditional_edges("ask", goes_on, {True: "ask", False: "answer"})
    built.add_edge("answer", END)
    if how != "inner":
        return built.compile(checkpointer=saver)
    outer = StateGraph(AskedState)
    outer.add_node("inner", built.compile())
    outer.add_edge(START, "inner")
    outer.add_edge("inner", END)
    return outer.compile(checkpointer=saver)


def given(step):
    return Command(resume=step["resume"]) if "resume" in step else step


def shown(found):
    waits = found.pop("__interrupt__", ())
    runs = [*RUNS]
    RUNS.clear()
    return {"turn": found.get("turn"), "asked": [i.value["question"] for i in waits], "runs": runs}


async def asynchronously(steps, checkpoints):
    async with AsyncSqliteSaver.from_conn_string(checkpoints) as saver:
        app = graph(saver, "async")
        return [shown(await app.ainvoke(given(step), THREAD)) for step in steps]


def main(case, checkpoints, how):
    steps = json.loads(case)
    if how == "async":
        print(json.dumps(asyncio.run(asynchronously(steps, checkpoints))))
        return
    with SqliteSaver.from_conn_string(checkpoints) as saver:
        app = graph(saver, how)
        print(json.dumps([shown(app.invoke(given(step), THREAD)) for step in steps]))


main(*sys.argv[1:])
