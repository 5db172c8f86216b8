"""Training: the same files from the same sentences of the package, and mistakes in one line."""

import numpy as np
import pytest

from envs import UserError, penguin_schema
from experiments.train_understanding import main
from experiments.understanding.fitting import fit_classifier
from experiments.understanding.intent_models import KINDS, TELLS, kept
from experiments.understanding.written_replies import kinds_examples, tells_examples, written_replies
from policies.understanding.readers.intents import IntentClassifier
from policies.understanding.readers.rules_reader import RulesReader
from policies.understanding.reading import INTENTS

SAMPLE = written_replies()[::25]
FEW = SAMPLE[::8]


def test_sentences_have_known_kinds_and_attributes_and_none_occurs_twice():
    replies = written_replies()
    assert {reply.attribute for reply in replies} == {None, *penguin_schema().names}
    assert len({(reply.attribute, reply.text.casefold()) for reply in replies}) == len(replies)
    assert all(reply.text == " ".join(reply.text.split()) for reply in replies)


def test_the_same_sentences_train_to_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        fit_classifier(tells_examples(FEW), TELLS).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_sample_is_read_by_what_it_trained():
    tells = fit_classifier(tells_examples(SAMPLE), TELLS)
    kinds = fit_classifier(kinds_examples(SAMPLE), KINDS)
    assert set(kinds.classes) == set(INTENTS)
    rates = kept(RulesReader.load().with_intents(IntentClassifier(tells, kinds)), SAMPLE)
    assert rates["direct"] > 0.7  # these it was trained on
    assert rates["declines"] < 0.2


def test_another_seed_draws_other_negatives():
    first, again, other = (tells_examples(FEW, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_each_example_comes_with_and_without_its_attribute():
    examples = tells_examples(SAMPLE)
    assert sum(example.about is None for example in examples) == len(examples) / 2
    assert {example.label for example in examples} == {"yes", "no"}


def test_rare_intents_weigh_more():
    examples = kinds_examples(SAMPLE)
    weights = {example.label: example.weight for example in examples}
    counts = {label: sum(e.label == label for e in examples) for label in weights}
    assert sorted(weights, key=weights.__getitem__) == sorted(counts, key=lambda label: -counts[label])
    assert np.isclose(weights["answer"] ** 2 * counts["answer"], len(examples))


@pytest.mark.parametrize("arguments", [[], ["no_such_folder"], [".", "--leave-one-out"]])
def test_mistakes_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "replies.tsv"
    path.write_text("a\tdirect\tAge\tmidlife\t41\na\tdirect\tAge\told\t41\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        written_replies(path)
