"""The command that compares searches, run as a user runs it."""

import itertools

import pandas as pd
import pytest
from hydra import compose, initialize_config_module

from envs import UserError
from experiments.compare_search import cells_of
from experiments.comparison.compared_page import extreme_landscapes
from experiments.comparison.curves import finding, paint_landscapes
from experiments.comparison.problems import NAMES
from experiments.comparison.searchers import search_nodes, searcher_for
from experiments.comparison.tables import markdown, needle_line, percent, terminal_tables
from experiments.runs.config import register
from tests.experiments.run_cases import REPO, SERIAL, assert_one_line, json_lines, run

COMPARE = "experiments.compare_search"
TINY = (
    "searches=[random,greedy,best_static]", "landscapes=[sketch,needle]", "noise_std=[0.3]", "calls=[20,60]",
    "model_seeds=2", "problems=2", "bootstrap=100", "default_search=random", "output_dir=run",
)  # fmt: skip
PLUG_IN = """
import numpy as np
from search.path_rule import best_plan

class Lazy:
    name = "lazy"

    def __init__(self, width: int = 1):
        self.width = width

    def plan(self, problem, rng):
        problem.evaluate(np.array([0, *(1 << i for i in range(self.width))], np.uint64))
        return best_plan(problem)

class Wrong:
    def plan(self, problem, rng):
        return None
"""


def table_of(folder):
    return pd.read_parquet(folder / "runs.parquet").drop(columns="seconds")


def composed(*overrides, name="compare_search"):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        return compose(name, overrides=list(overrides))


def test_run_resume_and_what_is_printed(command, tmp_path):
    done = command(*TINY, SERIAL, module=COMPARE)
    assert done.code == 0, done.err
    runs = table_of(tmp_path / "run")
    assert len(runs) == 2 * 2 * 3 * 2 * 2
    assert (runs["search_calls"] <= runs["calls"]).all()
    assert (runs["regret"] > -1e-12).all()
    assert "SIMULATED" in done.out
    assert "48 plans" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    text = (tmp_path / "run" / "summary.md").read_text()
    assert text.startswith("# Searches compared: SIMULATED scores\n")
    assert "## needle, 10 attributes, noise 0.3" in text
    assert (tmp_path / "run" / "regret.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "run" / "comparison.html").read_text(encoding="utf-8")
    assert "<strong>SIMULATED</strong>" in page
    assert page.count("best_static") >= 2
    figures = pd.read_csv(tmp_path / "run" / "summary.csv")
    one = figures[(figures.landscape == "sketch") & (figures.search == "greedy") & (figures.calls == 60)]
    cell = runs[(runs.landscape == "sketch") & (runs.search == "greedy") & (runs.calls == 60)]
    assert one.regret.item() == pytest.approx(cell.regret.sum() / (cell["best"] - cell["empty"]).sum())

    refused = command(*TINY, SERIAL, module=COMPARE)
    assert_one_line(refused)
    assert "resume=true goes on with it" in refused.err
    assert_one_line(command(*TINY, SERIAL, "resume=true", "problems=3", module=COMPARE))

    # as after a kill: half of the journal, its last line torn
    journal = tmp_path / "run" / "cells.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 24
    journal.write_bytes(b"".join(lines[:9]) + lines[9][:50])
    (tmp_path / "run" / "runs.parquet").unlink()
    assert command(*TINY, SERIAL, "resume=true", module=COMPARE).code == 0
    pd.testing.assert_frame_equal(table_of(tmp_path / "run"), runs)
    assert journal.read_bytes().splitlines(keepends=True)[:9] == lines[:9]


@pytest.mark.slow
def test_ray_finds_the_same(command, tmp_path):
    assert command(*TINY, SERIAL, module=COMPARE).code == 0
    done = run(tmp_path, *TINY, "output_dir=ray", "parallel=ray", "parallel.num_workers=2", module=COMPARE)
    assert done.code == 0, done.err
    pd.testing.assert_frame_equal(table_of(tmp_path / "ray"), table_of(tmp_path / "run"))


@pytest.mark.slow
def test_quick_preset_with_every_search(command, tmp_path):
    """As it is but for the number of people."""
    fewer = ("preset=quick", "model_seeds=1", "problems=1")
    done = command(*fewer, "output_dir=run", SERIAL, module=COMPARE)
    assert done.code == 0, done.err
    runs = table_of(tmp_path / "run")
    cfg = composed(*fewer)
    assert set(runs["search"]) == set(search_nodes(cfg.searches, {}))
    assert set(runs["landscape"]) == set(cfg.landscapes)
    places = runs.groupby(["landscape", "noise_std", "calls", "search"]).size()
    assert set(places) == {cfg.model_seeds * cfg.problems}


def test_a_search_of_the_users_own(command, tmp_path):
    """On the needle alone: no mean over landscapes is there to be drawn."""
    (tmp_path / "mine.py").write_text(PLUG_IN)
    own = (
        "searches=[greedy,lazy]", "+custom.lazy._target_=mine.Lazy", "+custom.lazy.width=2",
        "landscapes=[needle]",
    )  # fmt: skip
    done = command(*TINY, *own, SERIAL, module=COMPARE)
    assert done.code == 0, done.err
    runs = table_of(tmp_path / "run")
    assert set(runs[runs["search"] == "lazy"]["search_calls"]) == {3}


def test_a_search_that_plans_nothing_is_one_line_and_what_was_finished_is_kept(command, tmp_path):
    (tmp_path / "mine.py").write_text(PLUG_IN)
    own = ("searches=[greedy,wrong]", "+custom.wrong._target_=mine.Wrong")
    done = command(*TINY, *own, SERIAL, module=COMPARE)
    assert_one_line(done)
    assert "search wrong, scenario made-up-0-0000: found a NoneType, expected a Plan" in done.err
    assert len(json_lines(tmp_path / "run" / "cells.jsonl")) == 1 + 2  # greedy at both limits


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("searches=[greedy,bets]", "searches: found 'bets', expected some of "),
        ("searches=[greedy,greedy]", "searches: found ['greedy', 'greedy'], expected a list of distinct"),
        ("landscapes=[flat]", "landscapes: found 'flat', expected some of published, varied, additive"),
        ("calls=[]", "calls: found [], expected a list of distinct entries"),
        ("calls=[1]", "search.max_judge_calls: found 1, expected an integer >= 2"),
        ("noise_std=[-1]", "judge.noise_std: found -1"),
        ("problems=0", "problems: found 0, expected an integer >= 1"),
        ("n_attributes=[70]", "n_attributes: found 70, expected numbers from 1 to 64"),
        ("+custom.greedy._target_=no.such.Thing", "custom.greedy._target_: "),
    ],
)
def test_mistakes_are_one_line(command, override, expected):
    done = command(*TINY, override, SERIAL, module=COMPARE)
    assert_one_line(done)
    assert expected in done.err


RECORD = (
    "model_seeds=10", "problems=5", "n_attributes=[10,20,40]", "noise_std=[0,0.17,0.3,0.6]",
    "calls=[10,20,35,60,120,210,300]",
)  # fmt: skip


@pytest.mark.parametrize("overrides", [(), ("preset=quick",), RECORD])
def test_settings_that_are_shown_are_whole(overrides):
    cells = cells_of(composed(*overrides, "model_seeds=1"))
    assert len({cell.key for cell in cells}) == len(cells)
    landscapes = {cell.problems.landscape for cell in cells}
    assert landscapes < set(NAMES) if "preset=quick" in overrides else landscapes == set(NAMES)
    if overrides == RECORD:
        assert {cell.problems.n_attributes for cell in cells} == {10, 20, 40}
        assert {cell.problems.noise_std for cell in cells} == {0.0, 0.17, 0.3, 0.6}
        assert {min(cell.calls for cell in cells), max(cell.calls for cell in cells)} == {10, 300}


def test_the_command_for_the_record_is_the_one_that_help_shows():
    text = (REPO / "conf" / "compare_search.yaml").read_text(encoding="utf-8")
    assert [word.strip("'") for word in text.splitlines()[-1].split()[2:]] == list(RECORD)


def test_all_stands_for_what_can_be_built_without_further_keys():
    nodes = search_nodes(["all"], {})
    assert {"exhaustive", "greedy", "mcts", "mcts_paper", "random", "static", "best_static"} <= set(nodes)
    assert not {"custom", "auto", "all"} & set(nodes)
    assert all(searcher_for(node, 20, 0) is not None for node in nodes.values() if node)
    assert list(search_nodes(["all", "mine"], {"mine": {"_target_": "a.B"}}))[-1] == "mine"
    with pytest.raises(UserError, match="found 'greedy' twice"):
        search_nodes(["all", "greedy"], {})


def test_one_judge_after_the_other():
    seeds = [cell.problems.model_seed for cell in cells_of(composed())]
    assert seeds == sorted(seeds)


def test_simulations_are_many_enough_for_the_limit_to_bind():
    node = search_nodes(["mcts"], {})["mcts"]
    assert searcher_for(node, 20, 0).num_simulations == node["num_simulations"]
    assert searcher_for(node, 300, 0).num_simulations == 3000
    assert searcher_for(node, 60, 0, scheduled=True).num_simulations == 60
    assert searcher_for(None, 20, 0) is None
    with pytest.raises(UserError, match="'custom'"):
        search_nodes(["custom"], {})


def figures(**changes):
    row = {
        "landscape": "sketch", "n_attributes": 10, "noise_std": 0.3, "calls": 60, "search": "greedy",
        "regret": 0.1234, "low": 0.1, "high": 0.15, "problems": 8, "judges": 2,
    }  # fmt: skip
    return row | changes


def searches():
    return pd.DataFrame(
        [
            {
                "noise_std": 0.3, "search": "greedy", "plans": 1200, "optimism": 0.004, "optimism_low": -0.01,
                "optimism_high": 0.02, "belief_error": 0.35, "calls_used": 0.583, "seconds": 0.0123,
            }
        ]
    )  # fmt: skip


def needles():
    cell = {"n_attributes": 10, "noise_std": 0.0, "calls": 60, "of": 100, "chance": 0.281}
    return pd.DataFrame(
        [
            cell | {"search": "random", "found": 30, "share": 0.3, "low": 0.21, "high": 0.4},
            cell | {"search": "oracle", "found": 90, "share": 0.9, "low": 0.82, "high": 0.95},
        ]
    )


def test_needle_is_told_in_words_and_in_the_table():
    text = markdown(pd.DataFrame([figures()]), searches(), needles(), ["greedy"])
    assert "| chance | 0.281 |" in text
    assert "| random | 30/100 (0.210 to 0.400) |" in text
    assert "| oracle | 90/100 (0.820 to 0.950) ! |" in text
    assert needle_line(needles(), 60) == (
        "Needle at 60 calls: above chance: oracle (28.1%); most often oracle, 90 of 100."
    )
    assert "nobody is above chance (28.1%); most often random" in needle_line(needles()[:1], 60)
    assert needle_line(needles()[:0], 60) == ""
    assert "Needle" not in markdown(pd.DataFrame([figures()]), searches(), needles()[:0], ["greedy"])
    assert "| 0.3, greedy | 1,200 | +0.004 (-0.010 to +0.020) | +0.350 | 58% | 0.012 |" in text


def test_tables_mark_who_is_below_and_above():
    table = pd.DataFrame(
        [
            figures(),
            figures(search="a", regret=0.0012, vs_greedy_verdict="below"),
            figures(search="b", regret=0.5, vs_greedy_verdict="above"),
            figures(search="c", regret=0.12, vs_greedy_verdict="undecided"),
        ]
    )
    text = markdown(table, searches(), needles(), ["greedy"])
    assert "| a | 0.12 (10.0 to 15.0) <greedy |" in text
    assert "| b | 50.0 (10.0 to 15.0) >greedy |" in text
    assert "| c | 12.0 (10.0 to 15.0) |" in text
    (shown,) = terminal_tables(table, 60, "greedy")
    title, shown = shown.renderables
    assert title.plain == "Gain lost, % (SIMULATED): 10 attributes, noise 0.3, 60 judge calls"
    assert list(shown.columns[1].cells) == ["12.3 ", "0.12<", "50.0>", "12.0 "]
    assert list(terminal_tables(table, 120, "greedy")) == []


def test_percent_keeps_two_digits_of_small_shares():
    assert [percent(v) for v in (0.0, 0.0004, 0.0994, 0.0996, 1.0, float("nan"))] == [
        "0.00", "0.04", "9.94", "10.0", "100.0", "-"
    ]  # fmt: skip


def test_finding_counts_what_intervals_settle_and_leaves_out_the_needle():
    verdicts = {"sketch": "below", "varied": "below", "additive": "above", "coverage": "undecided"}
    rows = [
        figures(search="a", landscape=landscape, vs_greedy_verdict=verdict)
        for landscape, verdict in verdicts.items()
    ]
    rows += [figures(search="a", landscape="needle", vs_greedy_verdict="below")]
    rows += [figures(search="a", calls=120, vs_greedy_verdict="below"), figures()]
    table = pd.DataFrame(rows)
    told = "At 60 judge calls a loses less than greedy in 2 of 4 landscapes, more in 1"
    assert finding(table, 60, "a", "greedy") == told
    assert finding(table, 60, "b", "greedy") == "Gain that is lost, by judge calls"
    assert finding(table, 60, "greedy", "greedy") == "Gain that is lost, by judge calls"


def drawn_rows():
    return pd.DataFrame(
        [
            figures(
                search=search, landscape=landscape, calls=calls, regret=0.01 + 0.05 * i + 0.001 * j,
                low=0.005, high=0.9, vs_search_1=-0.02 + 0.01 * j, vs_search_1_low=-0.03,
                vs_search_1_high=0.5, vs_search_1_verdict="undecided", problems=3,
            )
            for i, search in enumerate(f"search_{i}" for i in range(12))
            for j, landscape in enumerate(NAMES)
            for calls in (10, 20, 60)
        ]
    )  # fmt: skip


def test_every_search_is_named_or_told_apart_and_no_labels_overlap():
    """Painted as they are, then measured: no two lines of a panel look alike, texts are apart."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    for narrow, width in ((False, 8.6), (True, 3.7)):
        figure = Figure(figsize=(width, 10.0), layout="constrained")
        paint_landscapes(figure, narrow, drawn_rows(), "search_3", "search_1")
        assert len([axes for axes in figure.axes if axes.axison]) == len(NAMES)
        coloured = [line for line in figure.axes[0].get_lines() if line.get_marker() != "None"]
        assert [line.get_label() for line in coloured] == ["search_3", "search_1"]
        assert len({(line.get_color(), line.get_marker()) for line in coloured}) == 2
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if visible(text)]
        boxes = [text.get_window_extent() for text in texts]
        assert len(boxes) > 2 * len(NAMES)
        for one, other in itertools.combinations(boxes, 2):
            assert not one.shrunk(0.9, 0.8).overlaps(other.shrunk(0.9, 0.8)), (narrow, one, other)


def test_the_page_shows_the_worst_landscape_as_large_as_the_best():
    worst, best = extreme_landscapes(drawn_rows(), 60, "search_3", "search_1")
    assert NAMES[-1].replace("_", " ") in worst.sentence
    assert f"{100 * (-0.02 + 0.01 * (len(NAMES) - 1)):+.2f}" in worst.sentence
    assert NAMES[0].replace("_", " ") in best.sentence
    assert "-2.00" in best.sentence
    assert "SIMULATED" in worst.question
    assert extreme_landscapes(drawn_rows(), 60, "search_1", "search_1") == []


def visible(text):
    return text.get_visible() and text.get_text().strip() and (text.axes is None or text.axes.axison)
