"""The viewer and the reports in a real browser: nothing wider than the window, and nothing that axe minds."""

import re

import pytest

from experiments.pages import Grid, KeyFact, Section, page
from experiments.plots.svg import Line, draw_lines, drawing, name_lines
from tests.axe import SERIOUS
from tests.experiments.run_cases import SERIAL, start
from tests.policies.serving.page.chromium import browser, opened

SIZES = [(390, False), (390, True), (1280, False), (1280, True)]
READY = "document.querySelector('main')"


@pytest.fixture(scope="module")
def window():
    with opened() as found:
        yield found


@pytest.fixture(scope="module")
def viewed(commands, tmp_path_factory):
    """A run that is served: (address, a scenario's id)."""
    folder = tmp_path_factory.mktemp("viewed")
    arguments = ("budget=2", "scenarios.limit=60", "search=greedy", SERIAL, "output_dir=run")
    assert commands.run(folder, *arguments).code == 0
    process = start(folder, "run", module="experiments.view")
    try:
        base, key = re.match(r"(http://\S+)/\?key=(\S+)", process.stdout.readline()).groups()
        yield f"{base}/", key
    finally:
        process.terminate()
        process.wait(20)


@browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_run_is_browsed_by_links_and_axe_finds_nothing_serious(window, viewed, axe, width, dark):
    address, key = viewed
    window.problems.clear()
    window.open(f"{address}?key={key}", width, 844, dark, READY)
    assert window.js("location.search") == ""  # the key is not kept where it can be seen
    window.open(f"{address}?text=career&order=lowest+score", width, 844, dark, READY)
    check(window, axe, width)
    assert window.text("[role=status]")[0].split(" of ")[1].startswith("60")
    window.click("tbody a")
    window.until("location.pathname === '/scenario' && document.readyState === 'complete'")
    assert "career" in window.text("h1")[0]
    assert window.js("document.querySelector('details').open")
    check(window, axe, width)
    window.click("a[href^='/calls']")
    window.until("location.pathname === '/calls' && document.readyState === 'complete'")
    check(window, axe, width)
    window.open(f"{address}run", width, 844, dark, READY)
    check(window, axe, width)
    assert window.problems == []
    assert all(request.startswith((address, "data:", "about:")) for request in window.requests)


def check(window, axe, width):
    """Nothing is cut off at the side, and axe finds nothing serious."""
    assert window.js("document.documentElement.scrollWidth") <= width
    # The page allows no script; the browser lets the test itself run one.
    window.js(axe + "; 0")
    assert window.js(SERIOUS) == []


def whole_page():
    def paint(figure, narrow):
        axes = figure.subplots()
        draw_lines(axes, [Line("vote + value", [1, 2], [3.0, 3.2]), Line("random order", [1, 2], [2.9, 3.0])])
        name_lines(figure, axes, narrow)

    rows = [(f"method {i}", "3.00 [2.90, 3.10]", "2.5", "1.2", "80 %") for i in range(30)]
    columns = ("method", "score", "questions", "disclosure", "share of possible gain")
    grid = Grid("Every method", columns, rows, "A note.", name="methods")
    parts = [
        drawing("lines", "Two lines", "A note.", paint, 2.0),
        grid,
        Section("Few", [grid._replace(rows=rows[:4])]),
    ]
    facts = [KeyFact("Is it real?", "No, SIMULATED.")]
    return page("A title", ["One."], "SIMULATED scores.", parts, facts, facts * 2, ("score", "vanilla"))


@browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_report_fits_its_window_and_axe_finds_nothing_serious(window, axe, tmp_path, width, dark):
    (tmp_path / "report.html").write_text(whole_page(), encoding="utf-8")
    window.problems.clear()
    window.open((tmp_path / "report.html").as_uri(), width, 844, dark, READY)
    check(window, axe, width)
    shown = [
        window.js(f"getComputedStyle(document.querySelector('.{k}')).display") for k in ("wide", "narrow")
    ]
    assert shown == (["none", "block"] if width == 390 else ["block", "none"])
    # A cell carries its column's name on a phone, where the head of the table is not seen.
    before = "getComputedStyle(document.querySelectorAll('#few td')[1], '::before').content"
    assert window.js(before) == ('"questions"' if width == 390 else "none")
    paper = window.js("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
    assert (lightness < 60) == dark
    assert window.problems == []
