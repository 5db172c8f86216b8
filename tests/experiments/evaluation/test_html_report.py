"""The HTML report: one file that needs nothing else, and looks as it should in a real browser."""

import functools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.report.drawings import (
    PUBLISHED,
    ablation,
    forest,
    heat_map,
    pareto,
    position_shares,
)
from experiments.evaluation.report.method_figures import MethodFigures
from experiments.evaluation.variations import robustness
from experiments.pages import Grid, markdown, page
from experiments.stats import Interval

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
NAMES = ("Age", "Gender", "Emotional State")


def interval(value, half=0.1):
    return Interval(value, value - half, value + half)


def method(name, curve="", asked=0.0, score=3.0):
    zero = interval(0.0)
    asked = interval(asked)
    return MethodFigures(
        name, "policy", curve, 10, interval(score), {}, asked, asked, zero, zero, zero, {}, {}
    )


FOUND = {
    m.name: m
    for m in [
        method("vanilla", score=2.9),
        method("full context", asked=10, score=4.0),
        method("chosen", asked=2.5, score=3.9),
        *(method(f"vote + value {k}", "vote + value", k, 3 + 0.3 * k) for k in (1, 2, 3)),
        *(method(f"random order, {k} questions", "random order", k, 3 + 0.2 * k) for k in (1, 2, 3)),
    ]
}
RESULTS = pd.DataFrame(
    {"domain": ["health"] * 3 + ["career"], "asked": [["Age", "Gender"], ["Age"], [], ["Emotional State"]]}
)


SETTINGS = {
    "unanswered": ("0%", "50%"),
    "table size": ("10", "1,000"),
    "domain left out": ("health", "career"),
}


def varied(names=("vote", "static")):
    return [
        {"variation": v, "setting": setting, "method": name, "score": interval(4 - 0.3 * k - 0.1 * j)}
        for v, settings in SETTINGS.items()
        for k, setting in enumerate(settings)
        for j, name in enumerate(names)
    ]


@functools.cache
def drawings():
    rows = [("vanilla", "vanilla", interval(2.9)), ("+ planner", "chosen", interval(3.9))]
    return [
        ablation(rows, True),
        pareto(FOUND, "chosen", True),
        forest([("a minus b", interval(0.3)), ("c minus d", interval(0.05))], True),
        heat_map("chosen", RESULTS, NAMES, 2),
        *robustness(varied(), True),
    ]


@functools.cache
def whole_page():
    grid = Grid("Every <method>", ("method", "score"), [("a & b", "3.00"), ("c", "2.00")], "A note.")
    return page("A title & more", ["First <finding>."], "SIMULATED scores.", [*drawings(), grid])


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.references, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for key, value in attributes:
            if key in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.references.append(value)
            if key == "id":
                self.ids.append(value)


def test_the_page_refers_to_nothing_outside():
    text = whole_page()
    found = Links()
    found.feed(text)
    assert "script" not in found.tags
    assert "iframe" not in found.tags
    assert all(reference.startswith(("#", "data:")) for reference in found.references)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_ids_are_unique_and_each_reference_is_met():
    found = Links()
    found.feed(whole_page())
    assert len(found.ids) == len(set(found.ids))
    inner = {reference[1:] for reference in found.references if reference.startswith("#")}
    assert inner <= set(found.ids)
    inner = set(re.findall(r"url\(#([^)]+)\)", whole_page()))
    assert inner
    assert inner <= set(found.ids)


def test_figures_are_xml_with_a_name_for_those_who_cannot_see_them():
    for drawing in drawings():
        root = ElementTree.fromstring(drawing.svg)  # noqa: S314 - our own
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == drawing.title
        narrow = ElementTree.fromstring(drawing.narrow)  # noqa: S314 - our own
        wide_by, narrow_by = (float(r.attrib["viewBox"].split()[2]) for r in (root, narrow))
        assert narrow_by < 0.5 * wide_by  # drawn anew for a phone, not shrunk
        assert "viewBox" in root.attrib
        assert "width" not in root.attrib  # it fills the column


def test_what_is_drawn_is_the_same_every_time():
    rows = [("a minus b", interval(0.3)), ("c minus d", interval(0.05))]
    assert forest(rows, True) == drawings()[2]


def test_text_is_escaped():
    text = whole_page()
    assert "Every &lt;method&gt;" in text
    assert "a &amp; b" in text
    assert "First &lt;finding&gt;." in text


def test_titles_say_what_the_numbers_say():
    by_key = {drawing.key: drawing.title for drawing in drawings()}
    assert (
        by_key["ablation"]
        == "SIMULATED here, each step of the published ablation raises the score: 2.90 to 3.90"
    )
    falling = ablation([("vanilla", "v", interval(3.0)), ("+ planner", "c", interval(2.5))], False)
    assert falling.title == "Measured here, not every published step raises it: 3.00 to 2.50"
    assert by_key["pareto"] == "At 2.7 questions: vote + value 3.81, random order 3.54"
    assert by_key["forest"] == "1 of 2 paired differences have an interval without zero"
    assert (
        by_key["heat"]
        == "Chosen: the commonest first question differs by domain (2 attributes over 2 domains)"
    )
    same = heat_map("chosen", RESULTS[:2], NAMES, 2)
    assert same.title == "Chosen: Age is the commonest first question in every domain"
    assert by_key["unanswered"] == (
        "Vote loses 0.30 from 0 to 50 % questions not answered, and then scores highest: 3.70"
    )


def test_published_bars_are_labelled_as_published():
    assert PUBLISHED == {"vanilla": 2.86, "+ abstention": 3.56, "+ planner": 3.77, "full context": 4.00}
    notes = drawings()[0].note
    assert "Published" in notes
    assert "not the judge" in notes


def test_shares_by_position_by_hand():
    shares = position_shares(RESULTS["asked"], NAMES, 2)
    assert shares.tolist() == [[0.5, 0.0], [0.0, 0.25], [0.25, 0.0]]
    assert position_shares(pd.Series([], dtype=object), NAMES, 2).sum() == 0


def test_markdown_keeps_its_cells():
    text = markdown(Grid("t", ("a", "b"), [("x | y", "1")]))
    assert text == "| a | b |\n| --- | ---: |\n| x \\| y | 1 |\n"


def screenshot(folder, text, width=1100, height=5200):
    """Return the page as float64[height, width] greys in [0, 1], and what the browser complained of."""
    import matplotlib.image

    (folder / "report.html").write_text(text, encoding="utf-8")
    picture = folder / "shot.png"
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", "--enable-logging=stderr", "--proxy-server=127.0.0.1:9",
            f"--user-data-dir={folder / 'browser'}", f"--window-size={width},{height}",
            f"--screenshot={picture}",
            (folder / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert picture.exists(), done.stderr[-2000:]
    pixels = matplotlib.image.imread(picture)[..., :3]
    return pixels.mean(axis=-1), done.stderr


@browser
@pytest.mark.slow
def test_a_browser_without_a_network_shows_the_page(tmp_path):
    grey, said = screenshot(tmp_path, whole_page())
    assert "CONSOLE" not in said, said
    assert grey.shape == (5200, 1100)
    rows_with_ink = (grey < 0.5).any(axis=1)
    assert rows_with_ink[:400].any()  # the title
    last = int(np.flatnonzero(rows_with_ink)[-1])
    assert 2500 < last < 5150  # all figures and the table are laid out, and the page ends within the picture
    # Every figure has ink in shades between black and white; none is an empty box.
    for top in range(300, last - 300, 300):
        assert (grey[top : top + 300] < 0.9).mean() > 0.002


@browser
@pytest.mark.slow
def test_a_script_would_not_run(tmp_path):
    text = whole_page().replace("</body>", "<script>document.body.innerHTML = ''</script></body>")
    grey, _ = screenshot(tmp_path, text)
    assert (grey < 0.5).any(axis=1)[:400].any()  # the page is still there
