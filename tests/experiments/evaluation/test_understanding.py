"""The table of the reader and the detector: counts by hand."""

from envs.users import Reply
from experiments.evaluation.report.grids import understanding_grid
from experiments.evaluation.setting import Answers
from experiments.evaluation.understanding import OWN, QUERIES, Understanding, understood
from policies.understanding import Danger, Reading, Value
from tests.experiments.evaluation.evaluation_cases import scenario

REPLIES = {
    "A": Reply("high", "all"),  # read as it is
    "B": Reply("high", "all"),  # a lie: the profile says low
    "C": Reply("rain", "nothing"),
}


class Says:
    def answer(self, scenario, attribute, question):
        return REPLIES[attribute]


class Takes:
    """Takes everything for an answer, and whatever names a level for that level."""

    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({asked: Value(text, text if text in ("low", "high") else None)})


class Hears:
    def check(self, text, asked=None, dialogue=None):
        return {"rain": Danger("s", "k", "m", (), certain=False), "?!": Danger("s", "k", "m", ())}.get(text)


def test_rows_by_hand():
    people = [scenario("p", A="high", query="?!"), scenario("q", A="high")]
    answers = Answers(Says(), people, Takes())
    for a in range(3):
        answers.heard(0, a)
    rows = {row.manner: row for row in understood(answers, Understanding(Takes(), Hears()))}
    own = rows[OWN]
    assert (own.replies, own.told, own.nothing) == (3, 2, 1)
    assert (own.read, own.levels, own.right, own.wrong, own.kept) == (2, 2, 1, 1, 1)
    assert (own.certain, own.checked) == (0, 1)
    assert (rows[QUERIES].replies, rows[QUERIES].certain, rows[QUERIES].checked) == (2, 1, 0)
    for manner in ("evasive", "off topic", "declining"):
        assert (rows[manner].nothing, rows[manner].kept, rows[manner].told) == (6, 6, 0)
    assert rows["the profile's values"].right == rows["the profile's values"].levels == 6
    assert rows["partial"].levels == 0


class HearsNothing:
    def read(self, text, schema, asked=None, dialogue=None):
        return Reading()


def test_a_reader_that_hears_nothing_keeps_nothing_and_recalls_nothing():
    rows = understood(Answers(Says(), [scenario("p")]), Understanding(HearsNothing(), Hears()))
    assert {row.kept + row.read + row.right + row.wrong for row in rows} == {0}
    grid = understanding_grid(rows)
    assert "0 % of the replies that tell nothing" in grid.title
