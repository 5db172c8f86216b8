"""The labelling page: by keyboard in a real browser, reloaded in the middle; what `calibrate` reads of it."""

import json
import os
import re
import signal
import stat

import httpx2
import pytest

from envs.loading import load_bundled
from experiments.judging.answer_files import Answer
from experiments.judging.labelling.label_app import create_label_app, rubric
from experiments.judging.labelling.label_store import LABELS, LabelStore, draw_task
from experiments.judging.labels import read_labels
from experiments.judging.ratings import DIMENSIONS
from policies.serving.request_guard import digest_of
from policies.serving.serve_settings import ServiceSettings
from tests.experiments.run_cases import assert_one_line, start
from tests.policies.serving.page.chromium import browser, opened
from tests.policies.serving.serving_cases import served

PEOPLE = load_bundled()[:4]
MARKUP = "<img src=x onerror=alert(1)> **bold**"
ANSWERS = [
    Answer(f"line {k}", k, PEOPLE[k // 2].id, f"Words number {k}. {MARKUP}", "ab"[k % 2]) for k in range(8)
]
BY_ID = {s.id: s for s in PEOPLE}
KEYS = {"anna": "key-of-anna", "ben": "key-of-ben"}
MODULE = "experiments.label"


def store(folder, people=None, seed=0):
    return LabelStore(folder, draw_task(ANSWERS, BY_ID, people, seed), list(KEYS), seed)


def page_of(folder):
    raters = {digest_of(key): rater for rater, key in KEYS.items()}
    return served(create_label_app(store(folder), BY_ID, raters, ServiceSettings()))


def as_calibrate_reads(folder):
    found, _ = read_labels(str(folder / LABELS), PEOPLE)
    return found


def get(url, rater="anna", path="/v1/answer", **options):
    return httpx2.get(url + path, headers={"authorization": f"Bearer {KEYS[rater]}"}, **options)


def send(url, rater="anna", **body):
    return httpx2.post(url + "/v1/levels", headers={"authorization": f"Bearer {KEYS[rater]}"}, json=body)


def levels(*values):
    return dict(zip(DIMENSIONS, values, strict=True))


# ---- the browser


@pytest.fixture(scope="module")
def page():
    with opened() as found:
        yield found


CHOSEN = "[...document.querySelectorAll('input:checked')].map((e) => Number(e.value))"
READY = "document.activeElement.type === 'radio'"
SAVED = "document.getElementById('status').textContent === 'Saved.'"


def pressed(page, *keys):
    for key in keys:
        page.key(key)


@browser
def test_by_keyboard_alone_with_a_reload_in_the_middle(page, tmp_path):
    page.problems.clear()
    page.requests.clear()
    with page_of(tmp_path) as url:
        address = f"{url}/#{KEYS['anna']}"
        page.open(address, ready=READY)
        first = page.text("#answer")[0]
        assert MARKUP in first
        assert page.js("document.querySelectorAll('#material img, #material b').length") == 0
        pressed(page, "4", "2", "5")
        page.until(f"{SAVED} && !document.getElementById('save').disabled")
        page.key("Enter")
        page.until("document.getElementById('progress').textContent === 'anna: 1 of 8 labelled'")
        page.until(f"document.getElementById('answer').textContent !== {json.dumps(first)}")
        second = page.text("#answer")[0]
        pressed(page, "3", "1")
        page.until(SAVED)
        page.reload(f"{READY} && {CHOSEN}.length === 2")
        assert page.text("#answer") == [second]
        assert page.js(CHOSEN) == [3, 1]
        page.key("Enter")  # a level is missing: nothing happens
        pressed(page, "0")
        page.until(f"{SAVED} && !document.getElementById('save').disabled")
        page.key("Enter")
        page.until("document.getElementById('progress').textContent === 'anna: 2 of 8 labelled'")
        page.until(f"document.getElementById('answer').textContent !== {json.dumps(second)}")
        pressed(page, "Backspace")
        page.until(f"document.getElementById('answer').textContent === {json.dumps(second)}")
        page.until(f"{CHOSEN}.length === 3")
        assert page.js(CHOSEN) == [3, 1, 0]
        pressed(page, "Backspace")
        page.until(f"document.getElementById('answer').textContent === {json.dumps(first)}")
        page.key("ArrowDown")  # radio buttons are the browser's own: 4 becomes 5
        page.until(f"{SAVED} && {CHOSEN}[0] === 5")
        page.key("Enter")
        page.until("document.getElementById('answer').textContent !== " + json.dumps(first))
        for k in range(6):
            page.until(f"{CHOSEN}.length === 0 && document.activeElement.name === '{DIMENSIONS[0]}'")
            pressed(page, "1", "2", "3", "Enter", "Enter")  # the second one labels nothing
            done = f"document.getElementById('progress').textContent === 'anna: {k + 3} of 8 labelled'"
            page.until(done)
        page.until("document.getElementById('levels').hidden")
        assert page.text("#end")[0].startswith("All 8 answers are labelled.")
        assert {a.split("/")[2] for a in page.requests if a.startswith("http")} == {url[7:]}
        assert not any("key-of" in a for a in page.requests)
    assert page.problems == []
    found = as_calibrate_reads(tmp_path)
    said = {
        answer.text: [found.levels[d][i, 0] for d in DIMENSIONS] for i, answer in enumerate(found.answers)
    }
    assert len(said) == 8
    assert said[first] == [5, 2, 5]
    assert said[second][:2] == [3, 1]
    assert said[second][2] != said[second][2]  # cannot say: no number
    assert sum(values == [1, 2, 3] for values in said.values()) == 6


@browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_nothing_sticks_out_and_the_rubric_is_the_judges(page, tmp_path, dark, width, height):
    with page_of(tmp_path) as url:
        page.open(f"{url}/#{KEYS['ben']}", width, height, dark, ready=READY)
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        shown = "\n".join(page.text("fieldset"))
    for dimension in rubric():
        assert len(dimension.anchors) == 5
        assert all(anchor in shown for anchor in (dimension.question, *dimension.anchors))


@browser
def test_a_long_answer_is_read_by_keyboard_while_the_levels_have_the_focus(page, tmp_path):
    with page_of(tmp_path) as url:
        page.open(f"{url}/#{KEYS['anna']}", 1280, 300, ready=READY)
        page.key("PageDown")
        page.until("document.getElementById('material').scrollTop > 100")
        assert page.js(f"{CHOSEN}.length === 0 && {READY}")


@browser
def test_another_raters_link_in_the_same_tab_is_the_other_rater(page, tmp_path):
    with page_of(tmp_path) as url:
        page.open(f"{url}/#{KEYS['anna']}", ready=READY)
        page.open(
            f"{url}/#{KEYS['ben']}",
            ready=f"{READY} && document.getElementById('progress').textContent.startsWith('ben:')",
        )
        pressed(page, "1", "2", "3", "Enter")
        page.until("document.getElementById('progress').textContent === 'ben: 1 of 8 labelled'")
    assert as_calibrate_reads(tmp_path).raters == ["ben"]


@browser
def test_a_link_without_a_key_shows_nobody(page, tmp_path):
    with page_of(tmp_path) as url:
        page.open(url + "/", ready="document.getElementById('status').className === 'failed'")
        assert page.js("document.getElementById('material').hidden")


# ---- the server


def test_each_rater_has_an_order_and_all_answers_and_sees_no_system(tmp_path):
    with page_of(tmp_path) as url:
        orders = {}
        for rater in KEYS:
            seen = [get(url, rater, params={"place": k}).json() for k in range(8)]
            orders[rater] = [row["answer"] for row in seen]
            assert all({"system", "score", "probability"}.isdisjoint(row) for row in seen)
            assert dict(seen[0]["profile"]).keys() == BY_ID[PEOPLE[0].id].profile.keys()
    assert sorted(orders["anna"]) == sorted(orders["ben"]) == sorted(a.text for a in ANSWERS)
    assert orders["anna"] != orders["ben"]
    with page_of(tmp_path) as url:  # the same after a restart
        assert [get(url, params={"place": k}).json()["answer"] for k in range(8)] == orders["anna"]


def test_a_final_label_beats_any_draft_and_there_is_one_of_each_rater(tmp_path):
    with page_of(tmp_path) as url:
        for rater, value in (("anna", 4), ("ben", 2)):
            assert send(url, rater, place=0, final=True, **levels(value, 3, 3)).json()["saved"]
            send(url, rater, place=0, final=False, **levels(1, 1, 1))
        send(url, "anna", place=0, final=True, **levels(5, 3, 3))
        send(url, "anna", place=1, final=False, **levels(1, 1, None))
        assert get(url).json()["levels"] == levels(1, 1, None)
    found = as_calibrate_reads(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / LABELS).read_text().splitlines()]
    assert sorted((row["rater"], row["risk_sensitivity"]) for row in rows) == [("anna", 5), ("ben", 2)]
    assert {answer.system for answer in found.answers} <= {"a", "b"}
    assert found.raters == ["anna", "ben"]


@pytest.mark.parametrize(
    "body",
    [
        {"place": 0, "final": True, **levels(6, 1, 1)},
        {"place": 0, "final": True, **levels("4", 1, 1)},
        {"place": 0, "final": True, "risk_sensitivity": 3},
        {"place": 0, "final": True, **levels(3, 3, 3), "system": "b"},
        {"final": True, **levels(3, 3, 3)},
        {"place": -1, "final": False},
    ],
)
def test_what_is_no_label_is_refused(tmp_path, body):
    with page_of(tmp_path) as url:
        answer = send(url, **body)
        assert answer.status_code == 400
        assert send(url, place=99, final=True, **levels(3, 3, 3)).status_code == 404
    assert (tmp_path / LABELS).read_text() == ""


def test_only_who_has_a_key_and_only_this_machine(tmp_path):
    with page_of(tmp_path) as url:
        assert httpx2.get(url + "/v1/answer").status_code == 401
        assert httpx2.get(url + "/v1/answer", headers={"authorization": "Bearer x"}).status_code == 401
        foreign = {"authorization": f"Bearer {KEYS['anna']}", "origin": "https://example.org"}
        assert httpx2.get(url + "/v1/answer", headers=foreign).status_code == 403
        assert httpx2.get(url + "/", headers={"host": "example.org"}).status_code == 421
        shown = get(url)
        assert shown.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in httpx2.get(url + "/").headers["content-security-policy"]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_people_are_drawn_whole_with_the_probability_in_every_record(tmp_path):
    task = draw_task([*ANSWERS, ANSWERS[0]], BY_ID, 2, seed=3)
    ids = {answer.scenario_id for answer in task.answers}
    assert (len(task.answers), len(ids), task.probability) == (4, 2, 0.5)
    drawn = [frozenset(a.scenario_id for a in draw_task(ANSWERS, BY_ID, 1, s).answers) for s in range(400)]
    assert all(60 <= drawn.count(frozenset({s.id})) <= 140 for s in PEOPLE)  # each of four as likely
    with page_of(tmp_path) as url:
        send(url, place=0, final=True, **levels(3, 3, 3))
    assert as_calibrate_reads(tmp_path).probabilities.tolist() == [1.0]


# ---- the command


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["answers=none.jsonl", "raters=[a]"], "answers=none.jsonl: there is no such file"),
        (["answers=a.jsonl"], "raters: found [], expected a name for each"),
        (["answers=a.jsonl", "raters=[a,a]"], "raters: found ['a', 'a']"),
        (["answers=a.jsonl", "raters=[a]", "people=9"], "people: found 9, expected 1 to 4"),
    ],
)
def test_mistakes_are_one_line(command, tmp_path, arguments, reason):
    write_answers(tmp_path / "a.jsonl")
    done = command(*arguments, module=MODULE)
    assert_one_line(done)
    assert reason in done.err
    assert not (tmp_path / "outputs").exists()


def write_answers(path):
    rows = [{"scenario_id": a.scenario_id, "answer": a.text, "system": a.system} for a in ANSWERS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_a_killed_command_goes_on_and_writes_nothing_of_a_person_beside_the_labels(tmp_path):
    write_answers(tmp_path / "a.jsonl")
    given = ("answers=a.jsonl", "raters=[anna,ben]", "port=0", "output_dir=out")
    printed = []
    for done in (0, 1):
        process = start(tmp_path, *given, module=MODULE)
        head, anna, ben = (process.stdout.readline() for _ in range(3))
        url, key = re.fullmatch(r"anna, (?:\d) done: (http://127\.0\.0\.1:\d+)/#(\S+)\n", anna).groups()
        assert f"anna, {done} done" in anna
        headers = {"authorization": f"Bearer {key}"}
        shown = httpx2.get(f"{url}/v1/answer", headers=headers).json()
        body = {"place": shown["place"], "final": True, **levels(3, 4, 5)}
        assert httpx2.post(f"{url}/v1/levels", headers=headers, json=body).json()["done"] == done + 1
        httpx2.post(f"{url}/v1/levels", headers=headers, content=b'{"place": "', timeout=5)
        os.killpg(process.pid, signal.SIGKILL)
        printed += [head, anna, ben, *process.communicate()]
    assert len(as_calibrate_reads(tmp_path / "out").answers) == 2
    values = {str(value) for person in PEOPLE for value in person.profile.values() if len(str(value)) > 6}
    assert not any(value in text for value in values for text in printed)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["labelling.sqlite", LABELS]
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "out"}


def test_a_folder_of_another_task_is_refused(command, tmp_path):
    (tmp_path / "out").mkdir()
    store(tmp_path / "out", seed=1)
    write_answers(tmp_path / "a.jsonl")
    done = command("answers=a.jsonl", "raters=[a]", "output_dir=out", "port=0", module=MODULE)
    assert_one_line(done)
    assert "found labels of other answers" in done.err


@browser
def test_saved_is_said_only_when_the_server_has_said_so(page, tmp_path):
    with page_of(tmp_path) as url:
        page.open(f"{url}/#{KEYS['anna']}", ready=READY)
        page.key("2")
        page.until(SAVED)
    pressed(page, "3", "4", "Enter")  # nobody is there any more
    page.until("document.getElementById('status').className === 'failed'")
    page.until("document.getElementById('status').textContent.startsWith('Not saved.')")
    assert page.js(CHOSEN) == [2, 3, 4]  # still there, to be sent again
    assert page.text("#progress") == ["anna: 0 of 8 labelled"]
