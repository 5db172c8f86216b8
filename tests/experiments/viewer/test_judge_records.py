"""Judge calls that the viewer shows: from the cache of a run over the scripted server, and transcripts."""

import json
import math

import pytest

from envs.llm.scripted.scripted_server import Script, ScriptedServer
from experiments.viewer.judge_records import from_transcripts
from experiments.viewer.run_browser import RunBrowser
from experiments.viewer.run_contents import read_run
from search.path_table import PathTable
from search.planning import REPORT_SAMPLE
from tests.experiments.run_cases import SERIAL, record, write_scenarios


@pytest.fixture(scope="module")
def judged(commands, tmp_path_factory):
    """The folder of a run whose server is gone since: all that is left is the cache."""
    folder = tmp_path_factory.mktemp("judged")
    write_scenarios(folder / "s.jsonl", [record(i) for i in range(2)])
    with ScriptedServer(Script()) as server:
        done = commands.run(
            folder, "scenarios.path=s.jsonl", "judge=openai", "judge.model=m", f"judge.base_url={server.url}",
            f"judge.cache={folder / 'replies.sqlite'}", "judge.save_transcripts=true", "search=greedy",
            "report_samples=2", "budget=2", SERIAL, "output_dir=run",
        )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    return folder / "run"


def test_replayed_calls_have_the_scores_that_the_run_reported(judged):
    browser = RunBrowser(read_run(judged))
    browser.run.transcripts._places.clear()  # as in a run that kept none
    for row in PathTable.load(judged).records():
        found = browser.calls(row.scenario_id)
        assert found.problem == ""
        assert "cache" in found.source
        reported = {}
        for call in found.calls:
            assert call.texts == ()
            if call.of_report:
                reported.setdefault(call.known, []).append(call.score)
        for step, score in enumerate(row.path_scores):
            known = frozenset(row.path[:step])
            (scores,) = [s for names, s in reported.items() if frozenset(names) == known]
            assert len(scores) == 2
            assert sum(scores) / 2 == pytest.approx(score)


def test_transcripts_tell_every_call_of_the_run(judged):
    browser = RunBrowser(read_run(judged))
    lines = [json.loads(line) for line in (judged / "transcripts.jsonl").read_text().splitlines()]
    for row in PathTable.load(judged).records():
        own = [line for line in lines if line["scenario_id"] == row.scenario_id]
        found = browser.calls(row.scenario_id).calls
        assert len(found) == len(own) > 0
        assert [call.known for call in found] == [tuple(line["known"]) for line in own]
        assert all(call.texts for call in found)


def test_without_its_cache_a_run_says_so_in_one_line(judged, tmp_path):
    browser = RunBrowser(read_run(judged))
    browser.run.transcripts._places.clear()
    browser.run.config["judge"]["cache"] = str(tmp_path / "gone.sqlite")
    found = browser.calls(PathTable.load(judged).records()[0].scenario_id)
    assert found.calls == ()
    assert "there is no such file" in found.problem
    assert "\n" not in found.problem


def test_transcripts_of_another_form_are_left_out():
    score = {"risk_sensitivity": 2, "emotional_empathy": 3, "personalization": 4, "reason": None}
    rows = [
        {"known": ["Age"], "sample": REPORT_SAMPLE + 1, "score": score, "response": "r", "verdict": ""},
        {"known": [], "sample": 0, "score": {**score, "personalization": None, "reason": "parse"}},
        {"known": "Age", "sample": 0, "score": score},
        {"sample": 0},
    ]
    first, second = from_transcripts(rows)
    assert (first.known, first.sample, first.of_report, first.score) == (("Age",), 1, True, 3.0)
    assert first.texts == ("r",)
    assert math.isnan(second.score)
    assert second.reason == "parse"
