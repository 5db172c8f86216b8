"""What an evaluation says of a panel: over nothing and all known of each person, asked of the cache."""

import json

import pytest

from envs import Score
from envs.judges.panel import PanelJudge
from envs.loading import load_bundled
from experiments.judging.panel_figures import evaluated_panel


class Counting:
    """Says `least` where nothing is known, one more where all is, and of the first person nothing."""

    stochastic = True

    def __init__(self, name, least, silent=()):
        self.name, self.least, self.silent, self.asked = name, least, silent, []

    def score(self, scenario, contexts, samples):
        self.asked += [
            (scenario.id, context, sample) for context, sample in zip(contexts, samples, strict=True)
        ]
        if scenario.id in self.silent:
            return [Score(reason="parse") for _ in contexts]
        return [self.least + bool(context) for context in contexts]


def test_the_figures_by_hand():
    people = load_bundled()[:3]
    members = [Counting("a", 2.0), Counting("b", 3.0, silent={people[0].id})]
    found = evaluated_panel(PanelJudge(members), people)["panel"]
    assert found["units"] == 6
    assert found["spread"] == pytest.approx(0.5**0.5)  # of 2 and 3, and of 3 and 4
    assert {name: m["mean"] for name, m in found["members"].items()} == {"a": 2.5, "b": 3.5}
    assert found["members"]["b"]["reasons"] == {"parse": 2}
    assert {sample for _, _, sample in members[0].asked} == {1 << 20}  # the report's first: it was paid for


def test_no_panel_has_none():
    assert evaluated_panel(Counting("a", 2.0), load_bundled()[:1]) == {}


@pytest.mark.slow
def test_evaluate_prints_and_keeps_them(command, tmp_path):
    done = command(
        "judge=panel", "judge.members=[simulated,simulated_varied]", "scenarios.limit=12", "search=greedy",
        "draws=20", "value_costs=[0.1]", "budget=2", "variations=[]", "output_dir=out", "parallel=serial",
        module="experiments.evaluate",
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["panel"]
    assert told["units"] % 2 == 0
    assert len(told["members"]) == 2
    assert f"panel over {told['units']}: Krippendorff's alpha" in done.out
