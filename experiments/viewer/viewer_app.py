"""The pages of `raise-planner view`, on Starlette: only reads, no script, nothing from elsewhere."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from experiments.pages import Grid, explained, render, style_sheet
from experiments.plots.tree_picture import boxes
from experiments.viewer.plan_steps import number, signed
from experiments.viewer.run_browser import RunBrowser
from experiments.viewer.scenario_list import ORDERS, Wanted, listed

_TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-downloads"
"""Of an HTML report of the folder: whatever is in the file, nothing of it runs or is sent."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_COOKIE = "view_key"


class LoopbackGuard:
    """Lets through who names this machine and has the key of the printed address.

    The name keeps out pages whose own name was turned to this address; the key, other people of the machine.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            refusal = self._refusal(Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host = Headers(scope=request.scope).get("host", "")
        if re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host) is None:
            return PlainTextResponse("this page answers to 127.0.0.1 alone", 421, _HEADERS)
        given = request.query_params.get("key")
        if given is not None and hmac.compare_digest(given.encode(), self._key.encode()):
            answer = RedirectResponse("/", 303, _HEADERS)
            answer.set_cookie(_COOKIE, self._key, httponly=True, samesite="strict")
            return answer
        kept = request.cookies.get(_COOKIE, "")
        if not hmac.compare_digest(kept.encode(), self._key.encode()):
            return PlainTextResponse("open the address that the command printed", 403, _HEADERS)
        return None


def create_viewer(browser: RunBrowser, key: str) -> ASGIApp:
    """Return the application; `key` is in the address that opens it."""
    pages: Mapping[str, Callable[[RunBrowser, Request], Response]] = {
        "/": _scenarios,
        "/scenario": _scenario,
        "/calls": _calls,
        "/trees": _trees,
        "/run": _run,
        "/report/{name}": _report,
        "/style.css": _style,
    }
    routes = [Route(path, partial(show, browser), methods=["GET"]) for path, show in pages.items()]
    return LoopbackGuard(Starlette(routes=routes, exception_handlers={404: partial(_missing, browser)}), key)


def _page(browser: RunBrowser, template: str, title: str, status: int = 200, **values: Any) -> Response:
    words = values.pop("words", ())
    text = render(
        template, _TEMPLATES, title=title, run=browser.run, number=number, signed=signed,
        terms=explained(words), with_values=browser.with_values, **values,
    )  # fmt: skip
    return HTMLResponse(text, status, {**_HEADERS, "content-security-policy": POLICY})


def _missing(browser: RunBrowser, request: Request, error: Exception) -> Response:
    return _page(browser, "missing.html", "Not found", 404, reason="There is no such page.")


def _scenarios(browser: RunBrowser, request: Request) -> Response:
    wanted = Wanted.from_query(request.query_params)
    scenarios = browser.run.scenarios
    return _page(
        browser, "scenarios.html", browser.run.folder.name, wanted=wanted, found=listed(scenarios, wanted),
        domains=browser.domains, states=browser.states, orders=ORDERS, n_all=len(scenarios),
        words=("score", "question", "judge call"),
    )  # fmt: skip


def _scenario(browser: RunBrowser, request: Request) -> Response:
    scenario_id = request.query_params.get("id", "")
    shown = browser.scenario(scenario_id)
    if shown is None:
        return _page(browser, "missing.html", "Not found", 404, reason="The run has no such scenario.")
    grid = None
    if browser.run.results is not None:
        grid = _methods_grid(browser.run.results, scenario_id, browser.run.simulated)
    words = ("score", "weighed", "believed", "judge call", "simulations")
    return _page(browser, "scenario.html", scenario_id, shown=shown, grid=grid, words=words)


def _calls(browser: RunBrowser, request: Request) -> Response:
    scenario_id = request.query_params.get("id", "")
    if scenario_id not in browser.run.records:
        return _page(browser, "missing.html", "Not found", 404, reason="The run has no such plan.")
    found = browser.calls(scenario_id)
    words = ("score", "judge call")
    return _page(
        browser, "calls.html", f"Judge calls: {scenario_id}", found=found, id=scenario_id, words=words
    )


def _trees(browser: RunBrowser, request: Request) -> Response:
    trees = browser.run.trees
    group = request.query_params.get("domain", trees[0].group if trees else "")
    chosen = next((tree for tree in trees if tree.group == group), None)
    if chosen is None:
        return _page(browser, "missing.html", "Not found", 404, reason="The run has no such tree.")
    root = boxes(chosen, 0.002)
    groups = [tree.group for tree in trees]
    words = ("score", "question", "budget")
    return _page(
        browser, "trees.html", f"Questions for {group}", tree=chosen, root=root, groups=groups, words=words
    )


def _run(browser: RunBrowser, request: Request) -> Response:
    run = browser.run
    text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    figures = plain_figures(run.summary)
    return _page(browser, "run.html", "The run", configuration=text, figures=figures)


def plain_figures(summary: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return the numbers and words at the top of a summary."""
    plain = [(k, v) for k, v in summary.items() if isinstance(v, str | int | float | bool)]
    return [(str(k).replace("_", " "), _plain(v)) for k, v in plain]


def _plain(value: str | float) -> str:
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _report(browser: RunBrowser, request: Request) -> Response:
    name = request.path_params["name"]
    if name not in browser.run.reports:
        return _page(browser, "missing.html", "Not found", 404, reason="The run has no such report.")
    try:
        content = (browser.run.folder / name).read_bytes()
    except OSError as error:
        return _page(browser, "missing.html", "Not found", 404, reason=f"{name}: {error.strerror}.")
    return HTMLResponse(content, 200, {**_HEADERS, "content-security-policy": REPORT_POLICY})


def _style(browser: RunBrowser, request: Request) -> Response:
    own = (_TEMPLATES / "viewer.css").read_text(encoding="utf-8")
    return Response(str(style_sheet()) + own, 200, _HEADERS, "text/css")


def _methods_grid(results: pd.DataFrame, scenario_id: str, simulated: bool) -> Grid:
    """Return what each method of an evaluation asked this person, a row a method and draw of the judge."""
    rows = results[results["scenario_id"] == scenario_id]
    names = ("method", "model_seed", "score", "n_asked", "n_told", "asked")
    shown = [
        (
            str(method),
            str(seed),
            number(score),
            f"{asked:.1f}".removesuffix(".0"),
            f"{told:.1f}".removesuffix(".0"),
            ", ".join(map(str, path)) or "-",
        )
        for method, seed, score, asked, told, path in zip(*(rows[n].tolist() for n in names), strict=True)
    ]
    title = "What each method asked" + (" (SIMULATED)" if simulated else "")
    columns = ("method", "draw", "score", "asked", "answered", "questions in order")
    return Grid(title, columns, shown, "Nothing in the last column: the order differs from draw to draw.")
