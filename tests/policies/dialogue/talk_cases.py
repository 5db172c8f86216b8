"""A reader and a detector that take what a message means from marks in it, and an agent that has them.

"A=low B=high"      tells of A and B              "!why", "!stop", ...   the intent
"@grave"            certain danger, sign grave    "@hint"                a suspicion
"""

import re

from policies import Agent
from policies.abstention import NeverAbstention
from policies.acquisition import NearestAcquisition
from policies.composed import ComposedPolicy
from policies.understanding import Danger, Reading, Value
from policies.understanding.reading import Resource
from tests.policies.policy_cases import plan_index


class MarkReader:
    """Reads marks; without any a reply tells nothing and answers. `seen`: what it was given."""

    def __init__(self):
        self.seen = []

    def read(self, text, schema, asked=None, dialogue=None):
        self.seen.append((text, asked, dialogue))
        told = {
            name: Value(words, words if words in ("low", "high") else None)
            for name, words in re.findall(r"\b([A-D])=(\w+)", text)
        }
        intent = re.search(r"!(\w+)", text)
        return Reading(told, intent[1] if intent else "answer")


class MarkDetector:
    """Hears marks: @NAME is certain but for @hint, a suspicion. `reads_all`: of the dialogue too."""

    def __init__(self, reads_all=False):
        self.reads_all = reads_all

    def check(self, text, asked=None, dialogue=None):
        before = [m.text for m in dialogue.turns if m.speaker == "person"] if dialogue else []
        words = " ".join([text, *(before if self.reads_all else [])])
        found = re.search(r"@(\w+)", words)
        if found is None:
            return None
        certain = found[1] != "hint"
        message = "Help is near." if certain else "Are you safe right now?"
        return Danger(found[1], "suicide", message, (Resource("here", "Line", "123"),), certain)


def talk(**options):
    policy = options.pop("policy", ComposedPolicy(NearestAcquisition(), NeverAbstention(), 2))
    reader, detector = options.pop("reader", MarkReader()), options.pop("detector", MarkDetector())
    index = options.pop("plan_index", None) or plan_index()
    return Agent(index, policy, reader=reader, detector=detector, **options)
