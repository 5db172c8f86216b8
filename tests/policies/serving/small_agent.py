"""An agent over the small table of the policies' tests."""

from envs import Attribute, Level, Schema
from policies import Agent
from policies.abstention import NeverAbstention
from policies.acquisition import NearestAcquisition
from policies.composed import ComposedPolicy
from tests.policies.policy_cases import plan_index

LEVELS = (Level("low", ("low",)), Level("high", ("high",)))


def shared(sensitivity=1, **options):
    """An agent over the small table: A, then B, then C; each question as sensitive as that."""
    attributes = [
        Attribute(name, f"Your {name}?", f"Why {name}.", 1.0, sensitivity if name != "A" else 1, LEVELS)
        for name in "ABCD"
    ]
    policy = ComposedPolicy(NearestAcquisition(), NeverAbstention(), 2)
    return Agent(plan_index(schema=Schema(attributes)), policy, **options)
