"""The page at / in a real browser, over the scripted upstream: by keyboard, on a phone, and against what is
written into it.
"""

import json

import httpx2
import pytest

from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script
from policies.serving.questions.gates import AlwaysGate
from policies.serving.serve_settings import ServiceSettings
from tests.policies.serving.page.chromium import browser, opened
from tests.policies.serving.serving_cases import QUERY, layer
from tests.policies.serving.small_agent import shared

IDLE = "document.getElementById('send').disabled === false"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>**bold** ![x](https://example.org/x.png)"
SIZES = [(390, 844), (1280, 800)]


def said(n):
    return f"{IDLE} && document.querySelectorAll('#log > li').length >= {n}"


@pytest.fixture(scope="module")
def page():
    with opened() as found:
        yield found


@pytest.fixture
def service(page):
    """Serve the small table before an upstream that says MARKUP; the page is open."""
    script = Script(lambda request: Completion(MARKUP))
    with layer(shared(), AlwaysGate(), script) as (url, upstream):
        page.problems.clear()
        page.requests.clear()
        page.open(url + "/")
        yield url, upstream
        assert page.problems == []
        assert {address.split("/")[2] for address in page.requests if address.startswith("http")} == {
            url.removeprefix("http://")
        }


def last_request(upstream):
    return upstream.seen.bodies[-1]


@browser
def test_a_conversation_by_keyboard_alone(page, service):
    page.type("one two")
    page.key("Enter")
    page.until(said(2))
    assert page.text("#log > li:last-child .count") == ["Question 1 of at most 3"]
    assert page.text("#log > li:last-child .question") == ["Your A?"]
    assert page.text("#log > li:last-child .why") == ["Why A."]
    assert "skip any of them" in page.text("#log > li:last-child .note")[0]
    assert page.js("document.activeElement.id") == "words"
    page.type("low")
    page.key("Enter")
    page.until(said(4))
    assert page.text("#known-list .name") == ["A"]
    assert page.text("#known-list .value") == ["low"]
    page.key("Tab")  # to Send
    page.key("Tab")  # to "Skip this question"
    assert page.js("document.activeElement.id") == "skip"
    page.key(" ")
    page.until(said(6))
    assert page.text("#log > li:last-child .question") == ["Your C?"]
    for _ in range(3):
        page.key("Tab")
    assert page.js("document.activeElement.id") == "answer"
    page.key("Enter")
    page.until(said(8))
    assert page.text("#log > li:last-child .small") == ["Answer"]
    assert page.js("document.getElementById('skip').hidden && document.getElementById('answer').hidden")
    context = json.dumps(last_request(service[1])["messages"])
    assert "A: low" in context
    assert len(service[1].seen.bodies) == 1


@browser
def test_what_is_written_never_becomes_markup(page, service):
    page.type(MARKUP)
    page.key("Enter")
    page.until(said(2))
    page.click("#answer")
    page.until(said(4))
    assert page.text("#log .person .said")[0] == MARKUP
    assert page.text("#log > li:last-child .said") == [MARKUP.replace("**", "")]
    assert page.text("#log strong") == ["bold"]  # of the model's answer, and nothing else of its Markdown
    assert page.js("document.querySelectorAll('#log img, #log script, #log b, #log a').length") == 0


@browser
@pytest.mark.slow
def test_what_is_forgotten_is_sent_no_more_and_asked_no_more(page, service):
    page.type("one two")
    page.key("Enter")
    page.until(said(2))
    page.type("it is low")
    page.key("Enter")
    page.until(said(4))
    page.click("#known-list button")
    page.until("document.querySelectorAll('#known-list li').length === 0")
    assert page.text("#status") == ["Forgotten: A. It will not be asked again."]
    assert "low" not in page.js("document.getElementById('log').innerText")
    page.click("#answer")
    page.until(said(6))
    sent = json.dumps(last_request(service[1]))
    assert "it is low" not in sent
    assert "A: low" not in sent
    assert page.text("#log .question").count("Your A?") == 1


@browser
@pytest.mark.slow
def test_what_the_query_told_can_be_forgotten_and_its_question_is_skipped(page, service):
    """The layer would ask for it now; the page skips that in the person's place."""
    page.type("one two, and A is low")
    page.key("Enter")
    page.until(said(2))
    if page.text("#known-list .name"):
        page.click("#known-list button")
    page.type("high")
    page.key("Enter")
    page.until(said(4))
    asked = page.text("#log .question")
    assert len(asked) == len(set(asked))


@browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_help_comes_first_and_has_the_focus(page, service, width, height):
    page.open(service[0] + "/", width, height)
    page.type("I want to kill myself tonight")
    page.key("Enter")
    page.until("document.querySelector('.escalate')")
    page.until(IDLE)
    assert page.js("document.activeElement.getAttribute('role')") == "alert"
    assert page.js("[...document.querySelectorAll('.places a')].some((a) => a.href.startsWith('tel:'))")
    top, edge = page.js(
        "['.escalate', '#chat'].map((s) => document.querySelector(s).getBoundingClientRect().top)"
    )
    assert edge <= top < height / 2
    numbers = page.js("[...document.querySelectorAll('.places a')].map((a) => a.href)")
    assert {"tel:08001110111", "tel:08001110222"} <= set(numbers)  # of a place with two
    assert service[1].seen.bodies == []


@browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(page, service, width):
    page.open(service[0] + "/", width, 700)
    page.type("x" * 300 + " one two")
    page.key("Enter")
    page.until(said(2))
    assert page.js("document.documentElement.scrollWidth") <= width
    elements = "[...document.querySelectorAll('body *')].filter((e) => !e.hidden && e.offsetParent)"
    assert page.js(f"{elements}.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length") == 0


@browser
@pytest.mark.slow
def test_two_enters_send_one_message(page, service):
    page.type("one two")
    page.key("Enter")
    page.type("again")
    page.key("Enter")
    page.until(said(2))
    assert len([address for address in page.requests if address.endswith("/chat/completions")]) == 1


@browser
@pytest.mark.slow
def test_an_upstream_that_fails_is_told_and_tried_again_only_by_hand(page):
    script = Script(fault_rate=1.0, faults=["server_error"])
    with layer(shared(), AlwaysGate(), script) as (url, upstream):
        page.open(url + "/")
        page.type("one two")
        page.key("Enter")
        page.until(said(2))
        page.click("#answer")
        page.until("document.querySelector('.failed')")
        sent = len(upstream.seen.bodies)
        assert page.js(IDLE)
        page.click(".failed button")
        page.until(f"!document.querySelector('.failed') || {IDLE}")
        page.until("document.querySelector('.failed')")
        assert len(upstream.seen.bodies) == 2 * sent


@browser
@pytest.mark.slow
def test_a_service_with_keys_asks_for_one(page, monkeypatch):
    monkeypatch.setenv("PAGE_TEST_KEYS", "open-sesame")
    settings = ServiceSettings(keys_variable="PAGE_TEST_KEYS")
    with layer(shared(), AlwaysGate(), settings=settings) as (url, _):
        page.open(url + "/")
        page.type("one two")
        page.key("Enter")
        page.until("document.querySelector('.failed')")
        page.js("document.getElementById('key').focus()")
        page.type("open-sesame")
        page.click(".failed button")
        page.until("document.querySelector('.question')")
        kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
        assert "open-sesame" not in page.js(kept)


@browser
@pytest.mark.slow
def test_events_are_read_whatever_the_chunks(page, service):
    """Split inside a character, a line end and an event; comments dropped, one space after the colon."""
    stream = ": hello\n\ndata: [1]\r\n\r\ndata:  two\ndata:é\U0001f600\n\n: ping\n\ndata:[DONE]\n\n"
    code = """
    (async () => {
      const { events } = await import("./events.js");
      const bytes = new TextEncoder().encode(%s), found = [];
      for (const size of [1, 2, 3, 7, bytes.length]) {
        const body = new ReadableStream({ start(control) {
          for (let i = 0; i < bytes.length; i += size) control.enqueue(bytes.slice(i, i + size));
          control.close();
        } });
        const seen = [];
        for await (const data of events(body)) seen.push(data);
        found.push(seen);
      }
      return found;
    })()
    """
    assert page.js(code % json.dumps(stream)) == [["[1]", " two\né\U0001f600", "[DONE]"]] * 5


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/events.js"])
def test_the_policy_of_the_page_allows_nothing_from_elsewhere(path):
    with layer(shared(), AlwaysGate()) as (url, _):
        found = httpx2.get(url + path)
    assert found.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in found.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff"


@browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_axe_finds_nothing(page, service, axe, dark, width, height):
    page.open(service[0] + "/", width, height, dark)
    page.js(axe + "; 0")
    rules = "axe.run().then((r) => r.violations.map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html}`))"
    assert page.js(rules) == []
    page.type("one two")
    page.key("Enter")
    page.until(said(2))
    page.type("low")
    page.key("Enter")
    page.until(said(4))
    page.js("document.getElementById('known').open = true")
    assert page.js(rules) == []
    page.type("I want to kill myself tonight")
    page.key("Enter")
    page.until("document.querySelector('.escalate')")
    page.until(IDLE)
    assert page.js(rules) == []


@browser
@pytest.mark.slow
def test_a_whole_conversation_of_the_shipped_table(page):
    from policies import Agent

    with layer(Agent.load(), AlwaysGate()) as (url, upstream):
        page.open(url + "/", 390, 844)
        page.type(QUERY)
        page.key("Enter")
        for count in range(2, 14, 2):
            page.until(said(count))
            if page.js("document.getElementById('skip').hidden"):
                break
            page.click("#skip")
        assert page.text("#log > li:last-child .small") == ["Answer"]
        assert len(upstream.seen.bodies) == 1
