"""The site: built strictly, with every key, and read from disk in a browser without outside addresses."""

import functools
import importlib.util
import re
import runpy
import subprocess
import sys

import pytest

from experiments.cli import COMMANDS
from experiments.console.help.command_keys import CONF, command_keys
from tests.axe import SERIOUS
from tests.documentation.documents import ROOT
from tests.policies.serving.page.chromium import browser, opened

PAGES = runpy.run_path(str(ROOT / ".ci" / "site_pages.py"))
needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("material") is None, reason="mkdocs-material is not installed (extra `docs`)"
)
SIZES = [(390, 844), (1280, 800)]
LOOKED_AT = [
    f"{name}.html" for name in ("index", "concepts", "guides/search", "reference/commands", "results/claims")
]


@functools.cache
def made():
    return PAGES["pages"]()


def test_every_command_has_its_keys_on_its_page():
    text = made()["reference/commands.md"]
    sections = {part.split("`")[1]: part for part in re.split(r"^## (?=`)", text, flags=re.M)[1:]}
    assert list(sections) == list(COMMANDS)
    for name, module in COMMANDS.items():
        if (CONF / f"{module}.yaml").is_file():
            for key in command_keys(module).keys:
                assert f"<code>{key.name.replace('_', '&#95;')}=" in sections[name], (name, key.name)


def test_every_member_of_every_group_is_on_the_page_of_groups():
    text = made()["reference/groups.md"]
    for path in CONF.glob("*/*.yaml"):
        if path.parent.name not in ("preset", "sweep"):
            assert f"### `{path.parent.name}={path.stem}`" in text
    for path in (CONF / "policy").glob("*/*.yaml"):
        assert f"### `policy/{path.parent.name}={path.stem}`" in text


def test_plain_text_stays_plain():
    assert PAGES["_text"]("a|b *c* <d> `e_f`") == "a&#124;b &#42;c&#42; &lt;d&gt; <code>e&#95;f</code>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _show(page, path, width, height, dark, fragment=""):
    page.open(path.as_uri() + fragment, width, height, dark, ready="document.querySelector('.md-content')")


@needs_mkdocs
@browser
@pytest.mark.slow
def test_nothing_comes_from_elsewhere_and_the_search_finds(site):
    with opened() as page:
        for path in sorted(site.rglob("*.html")):
            _show(page, path, 1280, 800, False)
        _show(page, site / "index.html", 1280, 800, False)
        page.js("document.querySelector('.md-search__input').focus()")
        page.type("dropout")
        # What was typed before the page's script listened is heard at the next key.
        page.until(
            "(document.querySelector('.md-search__input').dispatchEvent(new Event('keyup')), "
            "document.querySelectorAll('.md-search-result__link').length > 2)"
        )
        assert {address.partition(":")[0] for address in page.requests} <= {"file", "data", "about", "blob"}
        assert page.problems == []


@needs_mkdocs
@browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pages_fit_and_axe_finds_nothing(site, axe, width, height, dark):
    with opened() as page:
        for name in LOOKED_AT:
            _show(page, site / name, width, height, dark)
            assert page.js("document.documentElement.scrollWidth") <= width, name
            page.js(axe + "; 0")
            assert page.js(SERIOUS) == [], name
