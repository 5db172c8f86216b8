"""Pictures of policy trees: what they show, and that nothing lies on anything else."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.plots import tree_picture
from experiments.plots.tree_picture import boxes, save_picture
from search.population.exact import Solution, best_fixed_path
from search.population.policy_tree import DECLINED, STOP, PolicyNode, PolicyTree
from search.population.scenario_population import Population


def planned(min_profiles=0, budget=3, decline_rate=0.0, cost_weight=0.1):
    problem = Population(load_bundled(), SimulatedJudge("varied"), budget).problem(
        cost_weight=cost_weight, decline_rate=decline_rate
    )
    return Solution(problem, fallback=best_fixed_path(problem), min_profiles=min_profiles).tree()


def small(**changes):
    nodes = (
        PolicyNode(0, 1.0, 3.3, 2.0, {DECLINED: 1, 0: 2, 1: 3}),
        PolicyNode(STOP, 0.1, 3.0, 3.0),
        PolicyNode(STOP, 0.3, 4.0, 4.0),
        PolicyNode(1, 0.5, 3.0, 2.0, {0: 4, 1: 5}),
        PolicyNode(STOP, 0.2, 3.0, 3.0),
        PolicyNode(STOP, 0.3, 3.0, 3.0),
    )
    given = {"nodes": nodes, "fallback": (1, 2), "group": "health", "n_profiles": 10}
    levels = (("young", "old"), ("low", "high"), ())
    return PolicyTree(**{"names": ("Age", "Mood", "Work"), "levels": levels, "budget": 2, **given, **changes})


def test_answers_with_the_same_plan_share_a_branch():
    root = boxes(small())
    assert (root.text, root.kind, len(root.children)) == ("Age", "ask", 3)
    stop, mood, other = root.children
    assert (stop.label, stop.text) == ("declined / unknown, young", "answer")
    assert stop.probability == pytest.approx(0.4)
    assert stop.value == pytest.approx((0.1 * 3 + 0.3 * 4) / 0.4)
    assert (mood.label, mood.text, mood.note, mood.children) == ("old", "Mood", "then answer", ())
    assert (other.label, other.text, other.kind) == ("any other answer", "then Mood", "fallback")
    assert other.probability == pytest.approx(0.1)
    assert other.value == pytest.approx((3.3 - 0.3 - 1.2 - 1.5) / 0.1)


def test_a_fixed_path_is_a_question_and_the_rest():
    root = boxes(small(nodes=(PolicyNode(1, 1.0, 3.0, 2.0),)))
    (rest,) = root.children
    assert (root.text, rest.label, rest.text) == ("Mood", "any answer", "then Work")
    assert boxes(small(nodes=(PolicyNode(STOP, 1.0, 3.0, 3.0),))).text == "answer"


def test_probabilities_of_all_leaves_sum_to_one():
    def leaves(box):
        return [box] if not box.children else [leaf for child in box.children for leaf in leaves(child)]

    for least in (0.0, 0.02, 0.2):
        found = leaves(boxes(planned(), least))
        assert sum(box.probability for box in found) == pytest.approx(1)
        assert sum(box.probability * box.value for box in found) == pytest.approx(planned().value)


@pytest.fixture
def drawn(monkeypatch):
    """Return what is on a figure when it is saved: texts and boxes with their extents in pixels."""
    seen = {}
    save = Figure.savefig

    def keep(figure, path, **options):
        save(figure, path, **options)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        axes = figure.axes[0]
        seen["texts"] = [
            (t.get_text(), t.get_window_extent(renderer))
            for t in axes.findobj(Text)
            if t.get_text() and t.get_visible()
        ]
        seen["boxes"] = [p.get_window_extent(renderer) for p in axes.findobj(FancyBboxPatch)]
        seen["figure"] = figure.bbox
        seen["colours"] = [p.get_facecolor()[:3] for p in axes.findobj(FancyBboxPatch)]

    monkeypatch.setattr(Figure, "savefig", keep)
    return seen


@pytest.mark.parametrize(
    "tree",
    [
        small(),
        small(names=("How old are you, roughly speaking?", "Mood", "A-word-of-thirty-eight-characters-here")),
        planned(20),
        planned(),
        planned(8, 4, 0.1),
        planned(0, 4, 0.0, 0.0),
    ],
    ids=["small", "long names", "careful", "all", "declines", "no costs"],
)
def test_nothing_overlaps_and_all_is_grey(tree, drawn, tmp_path):
    save_picture(tmp_path / "tree.png", tree, "simulated_varied", True)
    for (_, one), (_, two) in itertools.combinations(drawn["texts"], 2):
        assert not one.overlaps(two)
    for one, two in itertools.combinations(drawn["boxes"], 2):
        assert not one.overlaps(two)
    inside = [
        (text, extent)
        for text, extent in drawn["texts"]
        if any(box.contains(*extent.get_points().mean(axis=0)) for box in drawn["boxes"])
    ]
    assert len(inside) == 2 * len(drawn["boxes"])
    for _, extent in inside:  # a box holds its whole text
        assert any(
            box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1
            for box in drawn["boxes"]
        )
    outside = [extent for text, extent in drawn["texts"] if (text, extent) not in inside]
    assert not any(extent.overlaps(box) for extent in outside for box in drawn["boxes"])
    for _, extent in drawn["texts"]:
        assert drawn["figure"].x0 <= extent.x0
        assert extent.x1 <= drawn["figure"].x1
    assert all(r == g == b for r, g, b in drawn["colours"])


def test_a_large_tree_is_cut_to_what_can_be_read(drawn, tmp_path, monkeypatch):
    tree = planned(budget=4)
    monkeypatch.setattr(tree_picture, "MAX_LEAVES", 12)
    assert boxes(tree).leaves() > 12
    save_picture(tmp_path / "tree.png", tree, "simulated_varied", True)
    assert len(drawn["boxes"]) < 36
    assert any("less common answers" in text.replace("\n", " ") for text, _ in drawn["texts"])


@pytest.mark.parametrize("simulated", [True, False])
def test_title_says_simulated_where_it_is(simulated, tmp_path):
    save_picture(tmp_path / "tree.svg", small(), "mine", simulated)
    text = (tmp_path / "tree.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)  # noqa: S314 - our own file
    assert ("SIMULATED" in text) is simulated
    assert "Questions for health" in text


def test_same_tree_same_file(tmp_path):
    for ending in ("svg", "png"):
        for name in ("one", "two"):
            save_picture(tmp_path / f"{name}.{ending}", small(), "mine", False)
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_values_are_numbers():
    assert np.isfinite(boxes(planned(20)).value)
