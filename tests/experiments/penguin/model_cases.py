"""A scripted model for the tests of the evaluation: chooses, rates, answers and judges by simple rules."""

import json

from envs.llm.scripted.scripted_replies import Completion, default_completion

DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")


def block(prompt, name):
    """Return the lines of the last block `name` in a prompt, without the bars."""
    inside = prompt[prompt.rindex(f"<{name}>") : prompt.rindex(f"</{name}>")]
    lines = [line[2:] for line in inside.splitlines() if line.startswith("| ")]
    return [line for line in lines if line != "(nothing)"]


def says(order=(), should_stop=3, unscored_from=99):
    """Return the rule of a model.

    It chooses the first open attribute of `order` (nothing, where that is empty), rates a context at 1 + the
    number of known attributes, finds it sufficient from `enough` on, and judges (`mode=direct`) at 1 + that
    number, at most 5; where `unscored_from` or more are known it refuses to.
    """

    def rule(body):
        prompt = "\n".join(m["content"] for m in body["messages"])
        if "next: <" in prompt:
            offered = prompt.split("Choose one of these")[1].splitlines()
            found = [name for name in order if f"- {name}" in offered]
            return Completion(f"next: {found[0]}" if found else "next: whatever you like")
        if "<known>" not in prompt:
            return default_completion(body)
        known = len(block(prompt, "known"))
        if "sufficiency: <" in prompt:
            return Completion(f"sufficiency: {min(5, 1 + known)}")
        if "sufficient: <" in prompt:
            return Completion(f"sufficient: {'yes' if known >= should_stop else 'no'}")
        if body.get("response_format"):
            if known >= unscored_from:
                return Completion(None, refusal="No.")
            return Completion(json.dumps(dict.fromkeys(DIMENSIONS, min(5, 1 + known))))
        return default_completion(body)

    return rule
