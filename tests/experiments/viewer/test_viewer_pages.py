"""The pages of `raise-planner view` over real runs, asked by HTTP without a browser."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from envs.loading import load_scenarios
from experiments.viewer.run_browser import RunBrowser
from experiments.viewer.run_contents import ListedScenario, read_run
from experiments.viewer.scenario_list import PAGE_ROWS, Wanted, listed
from experiments.viewer.viewer_app import POLICY, create_viewer
from search.path_table import PathRecord, PathTable
from tests.experiments.run_cases import SERIAL, assert_one_line

KEY = "a-key"
VIEW = "experiments.view"


@pytest.fixture(scope="module")
def trained(commands, tmp_path_factory):
    """The folder of a training run of eight scenarios."""
    folder = tmp_path_factory.mktemp("viewed")
    done = commands.run(folder, "budget=2", "scenarios.limit=8", "search=greedy", SERIAL, "output_dir=run")
    assert done.code == 0, done.err
    return folder / "run"


def pages_of(folder, with_values=False):
    client = TestClient(
        create_viewer(RunBrowser(read_run(folder), with_values), KEY), base_url="http://127.0.0.1:80"
    )
    client.cookies.set("view_key", KEY)
    return client


def test_the_list_and_a_plan_show_what_the_table_and_the_journal_hold(trained):
    pages, records = pages_of(trained), PathTable.load(trained).records()
    text = pages.get("/").text
    assert "8 of 8 scenarios" in text
    assert "<strong>SIMULATED</strong>" in text
    for record in records:
        assert f"/scenario?id={record.scenario_id}" in text
        assert f"{record.score:.2f}" in text
    one = records[3]
    shown = pages.get("/scenario", params={"id": one.scenario_id}).text
    plan = next(
        row
        for row in map(json.loads, (trained / "plans.jsonl").read_text().splitlines())
        if row.get("scenario_id") == one.scenario_id
    )
    for name, before, after in zip(one.path, one.path_scores, one.path_scores[1:], strict=False):
        assert (
            f"Ask <strong>{name}</strong>: score <strong>{after:.2f}</strong> ({after - before:+.2f})"
            in shown
        )
    weighed = [a for a in plan["alternatives"] if a[0] == 0]
    assert f"<summary>{len(weighed)} weighed" in shown
    for _, name, _, value in weighed:
        assert name in shown
        assert f"{value:.3f}" in shown


def test_values_of_profiles_are_shown_only_when_asked_for(trained):
    scenarios = {s.id: s for s in load_scenarios().scenarios}
    record = PathTable.load(trained).records()[0]
    values = [v for v in scenarios[record.scenario_id].profile.values() if len(v) > 12]
    assert values
    for with_values in (False, True):
        pages = pages_of(trained, with_values)
        text = "".join(
            pages.get(path, params={"id": record.scenario_id}).text
            for path in ("/", "/scenario", "/calls", "/run")
        )
        text = text.replace("&#39;", "'").replace("&#34;", '"')
        assert [value in text for value in values] == [with_values] * len(values)


def test_every_page_forbids_scripts_and_whatever_is_elsewhere(trained):
    pages = pages_of(trained)
    found = PathTable.load(trained).records()[0].scenario_id
    for path in ("/", f"/scenario?id={found}", f"/calls?id={found}", "/run", "/nothing", "/trees"):
        answer = pages.get(path)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert "<script" not in answer.text
        assert "http" not in answer.text.replace("http-equiv", "").split("<pre", 1)[0]
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY
    assert pages.get("/nothing").status_code == pages.get("/trees").status_code == 404
    assert pages.post("/").status_code == 405


def test_only_who_has_the_printed_address_gets_in(trained):
    app = create_viewer(RunBrowser(read_run(trained)), KEY)
    stranger = TestClient(app, base_url="http://127.0.0.1:80", follow_redirects=False)
    assert stranger.get("/").status_code == 403
    assert stranger.get("/?key=another").status_code == 403
    assert stranger.get(f"/?key={KEY}", headers={"host": "evil.example:80"}).status_code == 421
    let_in = stranger.get(f"/?key={KEY}")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
    assert "HttpOnly" in let_in.headers["set-cookie"]
    assert stranger.get("/").status_code == 200


def test_what_somebody_wrote_never_becomes_markup(tmp_path):
    record = make_record("<b>id</b>", query="<img src=x> & <script>1</script>")
    PathTable.from_records([record], {}).save(tmp_path / "paths.parquet")
    pages = pages_of(tmp_path)
    for text in (pages.get("/").text, pages.get("/scenario", params={"id": "<b>id</b>"}).text):
        assert "<b>id" not in text
        assert "<script" not in text
        assert "<img" not in text
    assert "&lt;script&gt;" in text


def make_record(scenario_id, query="q", score=4.0, domain="health"):
    return PathRecord(
        scenario_id,
        domain,
        query,
        ("Age",),
        (2.0, score),
        score,
        0.0,
        1,
        score,
        2,
        10,
        3,
        "greedy",
        "mine",
        0,
    )


DAMAGES = {
    "paths.parquet": (b"PAR1 no table", "paths.parquet: not a readable Parquet file"),
    "summary.json": (b'{"n_scenarios": ', "summary.json: not readable"),
    "failures.jsonl": (b'{"scenario_id": "x"}\n{torn\n', "failures.jsonl: 1 line is no JSON object"),
    "plans.jsonl": (b'{"journal": 1}\n[1]\n{"a": 2}\n', "plans.jsonl: 2 lines are of no scenario"),
    ".hydra/config.yaml": (b"a: [1\n", "config.yaml: not readable"),
    "results.parquet": (b"nothing", "results.parquet: not readable"),
    "policy_trees.jsonl": (b"\xff\xfe", "policy_trees.jsonl: cannot be read"),
    "transcripts.jsonl": (b"\x00\x01\n", "transcripts.jsonl: 1 line is of no scenario"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_one_line_on_the_page_and_the_rest_is_shown(trained, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    content, told = DAMAGES[name]
    (folder / name).write_bytes(content)
    run = read_run(folder)
    assert [problem for problem in run.problems if told in problem]
    assert all("\n" not in problem for problem in run.problems)
    pages = pages_of(folder)
    scenario_id = PathTable.load(trained).records()[0].scenario_id
    for path in ("/", "/run", f"/scenario?id={scenario_id}", f"/calls?id={scenario_id}"):
        text = pages.get(path).text
        assert told in text
    whole = name not in ("paths.parquet", "failures.jsonl")
    assert ("8 of 8" in pages.get("/").text) == whole


@pytest.mark.parametrize(
    "line",
    [
        '{"scenario_id": "ID", "path": 3}',
        '{"scenario_id": "ID", torn',
        '{"scenario_id": "ID", "observations": 1}',
        '{"scenario_id": "ID"}',
    ],
)
def test_a_damaged_plan_is_one_line_on_its_own_page(trained, tmp_path, line):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    scenario_id = PathTable.load(trained).records()[0].scenario_id
    (folder / "plans.jsonl").write_text(line.replace("ID", scenario_id) + "\n")
    text = pages_of(folder).get("/scenario", params={"id": scenario_id}).text
    assert text.count('<p class="alarm">plans.jsonl: ') == 1
    assert "The path" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "nowhere: no such folder, expected the folder of a run"),
        ((".",), "holds no run"),
        ((".", "--port", "70000"), "--port: found 70000, expected 0 to 65535"),
    ],
)
def test_mistakes_are_one_line(command, arguments, told):
    done = command(*arguments, module=VIEW)
    assert_one_line(done)
    assert told in done.err


def test_filter_and_order_by_hand():
    scores = [3.0, None, 4.0]
    rows = [
        ListedScenario(f"s{i}", "health" if i else "career", "Sleep?", "planned", ("Age",) * i, score)
        for i, score in enumerate(scores)
    ]
    rows.append(ListedScenario("bad", "", "", "failed", reason="judge: low_mass"))
    ids = lambda **wanted: [s.scenario_id for s in listed(rows, Wanted(**wanted)).rows]  # noqa: E731
    assert ids() == ["s0", "s1", "s2", "bad"]
    assert ids(order="lowest score") == ["s0", "s2", "s1", "bad"]
    assert ids(order="highest score") == ["s2", "s0", "s1", "bad"]
    assert ids(order="longest path") == ["s2", "s1", "s0", "bad"]
    assert ids(domain="health") == ["s1", "s2"]
    assert ids(state="failed") == ["bad"]
    assert ids(text="SLEEP") == ["s0", "s1", "s2"]
    assert ids(text="low_MASS") == ["bad"]
    assert ids(text="age") == ["s1", "s2"]


def test_pages_of_rows_hold_each_row_once():
    rows = [ListedScenario(f"s{i}", "d", "", "planned") for i in range(2 * PAGE_ROWS + 7)]
    pages = [listed(rows, Wanted(page=p)) for p in (1, 2, 3)]
    assert [s.scenario_id for page in pages for s in page.rows] == [s.scenario_id for s in rows]
    assert [page.first for page in pages] == [1, PAGE_ROWS + 1, 2 * PAGE_ROWS + 1]
    assert listed(rows, Wanted(page=99)).page == 3
    assert listed([], Wanted()).pages == 1


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "²", ""])
def test_an_address_that_makes_no_sense_is_the_first_page(page):
    assert Wanted.from_query({"page": page, "order": "sideways"}) == Wanted()


def test_a_run_of_14000_scenarios_sends_a_page_of_rows(tmp_path):
    rng = np.random.default_rng(0)
    records = [make_record(f"{i:05d}-00", score=float(s)) for i, s in enumerate(rng.uniform(2, 5, 14_000))]
    PathTable.from_records(records, {}).save(tmp_path / "paths.parquet")
    pages = pages_of(tmp_path)
    answer = pages.get("/?order=highest+score&page=2")
    assert "14,000 of 14,000 scenarios, page 2 of 280" in answer.text
    assert answer.text.count('href="/scenario?id=') == PAGE_ROWS
    assert len(answer.content) < 60_000
    best = sorted(records, key=lambda r: -r.score)[PAGE_ROWS].scenario_id
    assert best in answer.text
    assert "1 of 14,000" in pages.get("/?text=13999-00").text


def test_an_evaluation_shows_what_each_method_asked(tmp_path):
    from experiments.evaluation.results import COLUMNS

    row = dict.fromkeys(COLUMNS, 1.0) | {
        "kind": "policy",
        "curve": "",
        "scenario_id": "s",
        "domain": "health",
    }
    row |= {"score": 3.5, "score_empty": 3.0, "model_seed": 0, "profile": 0}
    rows = [
        {**row, "method": m, "asked": a} for m, a in (("vanilla", []), ("chosen policy", ["Age", "Gender"]))
    ]
    pd.DataFrame(rows)[list(COLUMNS)].to_parquet(tmp_path / "results.parquet")
    (tmp_path / "summary.json").write_text(
        json.dumps({"chosen": "chosen policy", "judge_is_simulated": True})
    )
    pages = pages_of(tmp_path)
    assert "Age, Gender" in pages.get("/").text
    assert "+0.50" in pages.get("/").text
    shown = pages.get("/scenario?id=s").text
    assert "What each method asked (SIMULATED)" in shown
    assert "chosen policy" in shown
    assert "vanilla" in shown


def test_a_report_is_shown_as_it_is_and_nothing_in_it_runs(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    (folder / "report.html").write_text("<h1>x</h1><script>1</script>")
    pages = pages_of(folder)
    answer = pages.get("/report/report.html")
    assert answer.text.startswith("<h1>x")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"]
    assert 'href="/report/report.html"' in pages.get("/").text
    for name in ("..%2Fpaths.parquet", "other.html", "summary.json"):
        assert pages.get(f"/report/{name}").status_code == 404
