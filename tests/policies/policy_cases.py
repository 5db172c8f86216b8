"""Small tables and embeddings whose answers can be worked out by hand."""

import numpy as np

from envs import Attribute, Level, Schema
from policies import PlanIndex
from policies.dialogue_state import DialogueState
from policies.retrieval import Index
from search.path_table import PathRecord, PathTable

SCHEMA = Schema(
    Attribute(
        name, f"Your {name}?", f"Why {name}.", cost, 1, (Level("low", ("low",)), Level("high", ("high",)))
    )
    for name, cost in (("A", 1.0), ("B", 1.0), ("C", 2.0), ("D", 0.5))
)


def level_of(attribute, words):
    """Return the name of the level that `words` mean, None without one."""
    code = attribute.code(words)
    return None if code < 0 else attribute.levels[code].name


class WordEmbedding:
    """Counts of the words one to eight: similarities can be worked out by hand."""

    name = "words"
    version = "1"
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    dim = len(words)

    def embed(self, texts):
        return np.array([[t.split().count(w) for w in self.words] for t in texts], np.float32).reshape(
            len(texts), self.dim
        )


def record(query, path, scores, domain="health", number=0, **changes):
    values = {
        "scenario_id": f"s{number}",
        "domain": domain,
        "query": query,
        "path": tuple(path),
        "path_scores": tuple(scores),
        "score": scores[-1],
        "score_stderr": 0.0,
        "n_samples": 1,
        "search_score": scores[-1],
        "budget": 3,
        "num_simulations": 0,
        "judge_calls": 1,
        "search": "hand",
        "judge": "simulated_published",
        "seed": 0,
    }
    return PathRecord(**values | changes)


RECORDS = (
    record("one two", "AB", (3.0, 3.8, 4.0), number=0),
    record("one three", "BA", (3.0, 3.5, 3.9), number=1),
    record("four five", "C", (3.0, 3.9), "social", number=2),
    record("six seven", "", (3.0,), "career", number=3),
    record("eight", "DCA", (2.0, 2.5, 2.4, 3.0), "social", number=4),
)


def plan_index(records=RECORDS, schema=SCHEMA, embedding=None, trees=None, histories=None):
    table = PathTable.from_records(records, {})
    index = Index.build(embedding or WordEmbedding(), [r.query for r in records])
    return PlanIndex(table, index, schema, "by hand", trees, histories)


def dialogue(query="one two", context=(), declined=(), found=None, k=3, domain=None):
    found = found or plan_index()
    context = dict.fromkeys(context, "low") if not isinstance(context, dict) else context
    asked = (*context, *declined)
    schema = found.schema
    levels = {n: level_of(schema.attributes[schema.index(n)], words) for n, words in context.items()}
    return DialogueState(
        found,
        query,
        context,
        asked,
        tuple(declined),
        found.neighbours(query, k),
        3 - len(asked),
        domain,
        levels,
    )


def name(choice):
    return None if choice.attribute is None else SCHEMA.names[choice.attribute]
