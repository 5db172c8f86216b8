"""The benchmark's tables in the paper's shape, with the paper's own beside them and what may be compared."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from envs.checking.validation import FileModel, read_yaml
from experiments.evaluation.report.grids import SIMULATED, number, with_interval
from experiments.evaluation.results import DIMENSIONS
from experiments.pages import Grid
from experiments.penguin.models.conditions import FREE, RAISE
from experiments.penguin.models.model_scores import ALL, ConditionDifference, ModelDifference, ModelMean
from experiments.penguin.published_values import DATA

PAPER_DOMAINS = ("relationship", "career", "financial", "social", "health", "life", "education")
_ANYWAY = (
    "The paper's judge, people and real half are others, and it prints no interval. A model of the same name "
    "is comparable only where it is the same version."
)
COMPARABLE = {
    "paper": "Structure, settings and inputs are the paper's, the wording is ours: gains over vanilla and "
    "the order of models may be laid beside the paper's where the judge model is the same, levels with care.",
    "authors_code": "Structure and settings are those of the published scripts, but what these make a 1 is "
    "unscored here: gains and order may be laid beside the paper's, levels lie higher.",
    "ours": "Another rubric and a target primed for safety: the order of conditions within a model may be "
    "compared, no level and no gain.",
    "-": "This judge follows no protocol of a language model: only the order of conditions within a model "
    "may be compared.",
}
"""What may be compared with the paper's tables, by protocol."""
_PAPER_METHOD = {FREE: "vanilla", RAISE: "planner"}


class PublishedTables(FileModel):
    """The paper's scores by model and method (seven domains, then the mean), and questions asked."""

    scores: dict[str, dict[str, list[float]]]
    questions: dict[str, list[float]]


@functools.cache
def published_tables() -> PublishedTables:
    """Return the tables of the paper."""
    found: PublishedTables = read_yaml(DATA / "published_tables.yaml", PublishedTables, "published tables")
    return found


def leaderboard_grids(
    found: Sequence[ModelMean],
    differences: Sequence[ModelDifference],
    protocol: str,
    simulated: bool,
    published: bool = True,
) -> list[Grid]:
    """Return the tables of one protocol: by domain, by dimension with gains, between models, the paper's.

    The last one only where it was `published` of the same attributes.
    """
    mark = SIMULATED if simulated else ""
    cell = {(m.model, m.condition, m.domain): m for m in found}
    keys = list(dict.fromkeys((m.model, m.condition) for m in found))
    domains = [d for d in (*PAPER_DOMAINS, "other") if any(m.domain == d for m in found)]
    domains += [d for d in dict.fromkeys(m.domain for m in found) if d not in (*domains, ALL)]
    by_domain = [
        (*key, *(number(cell[*key, d].score.estimate) if (*key, d) in cell else "-" for d in domains))
        + (with_interval(cell[*key, ALL].score),)
        for key in keys
    ]
    whole = [cell[*key, ALL] for key in keys]
    note = f"{whole[0].n_scenarios:,} scenarios of {whole[0].n_people:,} people; intervals cluster by person."
    return [
        Grid(f"Every condition, by domain{mark}", ("model", "condition", *domains, ALL), by_domain, note, 2),
        _details(whole, mark),
        *([_between(differences, mark)] if differences else []),
        *([_beside(whole, protocol, mark)] if published else []),
    ]


def _beside(whole: Sequence[ModelMean], protocol: str, mark: str) -> Grid:
    """Return score and questions of vanilla and planner, beside the paper's for a model of that name."""
    rows = []
    for m in whole:
        method = _PAPER_METHOD.get(m.condition.split(",")[0])
        if method is not None:
            score, questions = _published(m.model, method)
            rows.append(
                (
                    m.model,
                    m.condition,
                    with_interval(m.score),
                    score,
                    number(m.questions),
                    questions,
                )
            )
    columns = ("model", "condition", "score", "paper's score", "questions", "paper's questions")
    return Grid(f"Beside the paper{mark}", columns, rows, f"{COMPARABLE[protocol]} {_ANYWAY}", 2)


def _published(model: str, method: str) -> tuple[str, str]:
    """Return the paper's mean score and questions of a model of that name, "-" where it has none."""
    plain = _plain(model.rpartition("/")[2])
    tables = published_tables()
    fitting = [name for name in tables.scores if plain.startswith(_plain(name))]
    if not fitting:
        return "-", "-"
    name = max(fitting, key=len)
    asked = tables.questions.get(name)
    return number(tables.scores[name][method][-1]), number(asked[0]) if asked and method == "planner" else "-"


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _details(whole: Sequence[ModelMean], mark: str) -> Grid:
    rows = [
        (
            m.model,
            m.condition,
            "-" if m.condition == FREE else with_interval(m.gain, signed=True),
            *(number(value) for value in m.dimensions),
            number(m.questions),
            f"{m.refused:,}",
            f"{m.unscored:,} of {m.looks:,}",
        )
        for m in whole
    ]
    columns = ("model", "condition", "gain over context-free", *(d.replace("_", " ") for d in DIMENSIONS))
    note = "Gains are paired by scenario. Refused and unscored answers are in no mean."
    columns = (*columns, "questions", "refused", "unscored")
    return Grid(f"Gain, dimensions, questions{mark}", columns, rows, note, 2)


def _between(differences: Sequence[ModelDifference], mark: str) -> Grid:
    rows = [(d.model, d.other, d.condition, with_interval(d.difference, signed=True)) for d in differences]
    columns = ("model", "minus", "condition", "difference")
    return Grid(f"Differences between models{mark}", columns, rows, "Paired by scenario.", 3)


def asking_grid(differences: Sequence[ConditionDifference], simulated: bool, unplanned: str = "") -> Grid:
    """Return what asking is worth against each other condition, the least favourable first.

    `unplanned`: said below it.
    """
    rows = [
        (
            d.model,
            d.other,
            with_interval(d.difference, signed=True),
            number(d.questions, 1),
            number(d.other_questions, 1),
        )
        for d in sorted(differences, key=lambda d: (math.isnan(d.difference.estimate), d.difference.estimate))
    ]
    columns = ("model", "RAISE minus", "difference", "questions of RAISE", "of the other")
    note = (
        "Paired by scenario. Fixed sets ask everybody the same and need no planning; context-rich is a bound."
        f" {unplanned}".rstrip()
    )
    return Grid(f"RAISE against the other conditions{SIMULATED if simulated else ''}", columns, rows, note, 2)


def paper_grid() -> Grid:
    """Return the paper's Tables 2, 7, 8 and 9."""
    tables = published_tables()
    words = {"vanilla": "vanilla", "agent": "+ abstention agent", "planner": "+ planner"}
    rows = []
    for model, methods in tables.scores.items():
        asked = tables.questions.get(model, [])
        questions = dict(zip(("planner", "agent"), asked, strict=False))
        for method, scores in methods.items():
            shown = number(questions[method]) if method in questions else "-"
            rows.append((model, words[method], *(number(score) for score in scores), shown))
    columns = ("model", "method", *PAPER_DOMAINS, ALL, "questions")
    return Grid("The paper's Tables 2, 7, 8 and 9", columns, rows, _ANYWAY, 2)
