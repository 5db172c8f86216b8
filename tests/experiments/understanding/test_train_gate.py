"""The gate's classifier that ships is what the command makes of what ships and of PENGUIN's queries."""

import os
from pathlib import Path

import numpy as np
import pytest

from envs import UserError
from envs.loading import load_scenarios
from experiments.train_gate import main, print_shares
from experiments.understanding.gate_model import WEIGHT, GateMessage, gate_messages, written_messages
from policies.understanding.risk import GATE, RISK
from policies.understanding.text_classifier import TextClassifier

ROOT = Path(__file__).resolve().parents[3]
PENGUIN = Path(os.environ.get("RAISE_PENGUIN", ROOT.parent / "shared/data/penguin"))
PENGUIN = PENGUIN / "penguin_synthetic_dev.json" if PENGUIN.is_dir() else PENGUIN


@pytest.mark.slow
def test_the_file_is_what_the_command_makes(tmp_path):
    """But for what another processor rounds otherwise: 0.01 of a probability."""
    if not PENGUIN.is_file():
        pytest.skip("the PENGUIN development file is not here (RAISE_PENGUIN)")
    main([str(PENGUIN), str(tmp_path / "gate.npz")])
    made, shipped = TextClassifier.load(tmp_path / "gate.npz"), TextClassifier.load(GATE)
    assert (made.classes, made.table.shape, made.dense.shape) == (
        shipped.classes,
        shipped.table.shape,
        shipped.dense.shape,
    )
    texts = [message.text for message in gate_messages(load_scenarios(None).scenarios)][::3]
    found = [[c.probabilities(text)[RISK] for text in texts] for c in (made, shipped)]
    assert np.abs(np.subtract(*found)).max() < 0.01


def test_what_one_author_or_person_wrote_is_held_out_together():
    people = load_scenarios(None).scenarios[:20]
    named = [m for m in gate_messages([]) if m.group.startswith("author ")]
    assert {m.group for m in named} == {f"author {name}" for name in "abqtuvwxzABEGIJ"}
    assert len(named) > 300
    queries = [m for m in gate_messages([*people, *people]) if m.source == "queries"]
    assert len(queries) == 2 * len({m.group for m in queries}) == 40


def test_no_message_occurs_twice_and_none_is_one_of_the_tests():
    texts = [m.text for m in gate_messages([]) if m.weight == WEIGHT and m.source != "bundled"]
    assert {message.text for message in written_messages()} < set(texts)
    everyday = (
        (ROOT / "tests/policies/serving/questions/everyday.txt").read_text(encoding="utf-8").splitlines()
    )
    assert len(set(texts)) == len(texts)
    assert set(texts).isdisjoint(everyday)


def test_a_line_that_is_none_is_named(tmp_path):
    (tmp_path / "gate.tsv").write_text("a\t0\thello\n0\thello\n")
    with pytest.raises(UserError, match=r"line 2: expected author, 0 or 1, message"):
        written_messages(tmp_path / "gate.tsv")


def test_shares_count_suspicions(capsys):
    """A clear sign counts at any probability, a suspicion from one half on, others from the threshold."""
    texts = ("I will kill myself tonight", "hello", "should I quit my job?")
    messages = [GateMessage(text, True, 1.0, text, f"s{i}") for i, text in enumerate(texts)]
    print_shares(messages, np.array([0.0, 0.1, 0.87]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["threshold", "s0", "s1", "s2"]
    shares = {float(line[0]): line[1:] for line in lines[1:-1]}
    assert shares[0.8] == ["1.000", "0.000", "1.000"]
    assert shares[0.95] == ["1.000", "0.000", "0.000"]
