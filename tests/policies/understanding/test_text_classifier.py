"""Training and forward pass of the text classifier, against scikit-learn's own."""

import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from envs import UserError
from experiments.understanding.fitting import Example, FitOptions, fit_classifier, ngram_rows
from policies.understanding.reading import LONGEST
from policies.understanding.text_classifier import TextClassifier, embedded, ngrams
from tests.cpu_time import cpu_seconds

EXAMPLES = [
    Example("I am a carpenter", "tells", "work"),
    Example("carpenter, since last year", "tells", "work"),
    Example("I drive a lorry for a bakery", "tells", "work", ("job",)),
    Example("my wife snores", "talks", "work"),
    Example("I have a wife", "tells", "marriage"),
    Example("my wife and I", "tells", "marriage", ("kin",)),
    Example("I am a carpenter", "talks", "marriage"),
    Example("why would you want that?", "asks", "work"),
    Example("why would you want to hear it", "asks", "marriage"),
    Example("what for?", "asks"),
    Example("it rains", "talks"),
]
SMALL = FitOptions(buckets=2**12, inverse_regularisation=(3.0, 2.0))


@pytest.fixture(scope="module")
def classifier():
    return fit_classifier(EXAMPLES, SMALL)


def _oracle_ngrams(example):
    model = LogisticRegression(C=3.0, max_iter=2000)
    model.fit(ngram_rows(EXAMPLES, 2**12), [e.label for e in EXAMPLES])
    return model.predict_proba(ngram_rows([example], 2**12))[0]


def _oracle_dense(example):
    def row(e):
        vector = embedded([e.text])[0]
        parts = [vector, [0.0]]
        for subject in ("marriage", "work"):
            parts += [vector * (e.about == subject), [float(e.about == subject)]]
        return np.concatenate(parts)

    model = LogisticRegression(C=2.0, max_iter=2000)
    model.fit([row(e) for e in EXAMPLES], [e.label for e in EXAMPLES])
    return model.predict_proba([row(example)])[0]


@pytest.mark.parametrize(
    "example", [Example("I was a carpenter", "", "work", ("job",)), Example("My wife?", "", "marriage")]
)
@pytest.mark.parametrize(("share", "oracle"), [(1.0, _oracle_ngrams), (0.0, _oracle_dense)])
def test_probabilities_are_those_of_the_library_that_trained(example, share, oracle):
    options = FitOptions(SMALL.buckets, SMALL.inverse_regularisation, share)
    fitted = fit_classifier(EXAMPLES, options)
    found = fitted.probabilities(example.text, example.about, example.cues)
    assert list(found) == ["asks", "talks", "tells"]
    np.testing.assert_allclose(list(found.values()), oracle(example), atol=2e-3)


def test_logits_are_the_mean_of_both_models(classifier):
    ends = [fit_classifier(EXAMPLES, FitOptions(SMALL.buckets, (3.0, 2.0), share)) for share in (0.0, 1.0)]
    dense, table = (end.logits("my wife", "marriage") for end in ends)
    np.testing.assert_allclose(classifier.logits("my wife", "marriage"), 0.3 * dense + 0.7 * table, atol=0.01)


def test_what_a_text_is_about_decides(classifier):
    work, marriage = (classifier.probabilities("I am a carpenter", about) for about in ("work", "marriage"))
    assert max(work, key=work.get) == "tells"
    assert max(marriage, key=marriage.get) == "talks"


def test_an_unknown_subject_is_read_as_none_trained_is():
    """Coefficients of buckets that nobody trained are zero, but for collisions: many buckets have few."""
    fitted = fit_classifier(EXAMPLES, FitOptions(2**20, (3.0, 2.0)))
    text = "my wife snores"
    np.testing.assert_allclose(fitted.logits(text, "shoe size"), fitted.logits(text), atol=1e-3)


def test_two_classes_are_a_softmax_of_a_zero_and_a_logit():
    rows = [Example("yes sure", "yes"), Example("no way", "no"), Example("sure", "yes"), Example("nay", "no")]
    fitted = fit_classifier(rows, SMALL)
    assert fitted.logits("whatever")[0] == 0
    assert fitted.probabilities("sure")["yes"] > 0.5 > fitted.probabilities("no")["yes"]


def test_the_same_examples_make_the_same_bytes(tmp_path, classifier):
    for name in ("a.npz", "b.npz"):
        fit_classifier(EXAMPLES, SMALL).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = TextClassifier.load(tmp_path / "a.npz")
    assert (again.classes, again.subjects) == (classifier.classes, classifier.subjects)
    np.testing.assert_array_equal(again.logits("my wife", "work"), classifier.logits("my wife", "work"))


def test_a_file_is_plain_arrays(tmp_path, classifier):
    classifier.save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        for name in file.namelist():
            assert b"|O" not in file.read(name)[:128]


def test_another_file_is_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "objects.npz", classes=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("coefficients")
    for name in ("objects.npz", "text.npz", "missing.npz"):
        with pytest.raises(UserError) as error:
            TextClassifier.load(tmp_path / name)
        assert "\n" not in str(error.value)
        assert name in str(error.value)


@given(st.text(max_size=60), st.none() | st.text(max_size=5), st.lists(st.text(max_size=5), max_size=2))
def test_any_text_has_probabilities(classifier, text, about, cues):
    assert sum(classifier.probabilities(text, about, cues).values()) == pytest.approx(1)


def test_lone_surrogates_have_probabilities(classifier):
    assert sum(classifier.probabilities("\ud800 wife", "\udfff").values()) == pytest.approx(1)


def test_digits_are_alike_and_case_and_apostrophes_do_not_count():
    for one, other in (("I'm 41", "i\u2019M  72"), ("a b", " A\tB ")):
        for left, right in zip(ngrams(one, "Age", (), 1024), ngrams(other, "Age", (), 1024), strict=True):
            np.testing.assert_array_equal(left, right)


def test_threads_read_as_one_does(classifier):
    texts = [f"my wife number {'x' * i} snores" for i in range(200)]
    with ThreadPoolExecutor(200) as threads:
        found = list(threads.map(lambda text: classifier.logits(text, "work").tolist(), texts))
    assert found == [classifier.logits(text, "work").tolist() for text in texts]


def test_time_is_linear_and_bounded(classifier):
    def spent(text, repeats):
        return cpu_seconds(lambda: [classifier.logits(text, "work") for _ in range(5)], repeats)

    assert spent("xy- " * 500_000, 2) < 80 * spent("xy- " * 500, 3)


def test_only_the_first_part_of_a_long_text_is_read(classifier):
    long = "wife " * (LONGEST // 5)
    assert classifier.logits(long + "carpenter").tolist() == classifier.logits(long).tolist()
