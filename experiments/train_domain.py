"""Train the classifier of a query's domain: `python -m experiments.train_domain SCENARIOS FILE`.

SCENARIOS is any scenario file whose domains are known, such as PENGUIN's synthetic half; the coefficients go
into FILE, no sentence does. The same scenarios give the same file. With `--folds N` nothing is written: each
person's queries are read by a classifier of the others, and the shares of right domains are printed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import Scenario, UserError
from envs.checking.extras import check_installed
from envs.loading import load_scenarios
from envs.scenario import DOMAINS
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.understanding import check_file_or_folds
from policies.understanding.text_classifier import TextClassifier


def train(scenarios: Sequence[Scenario]) -> TextClassifier:
    """Return the classifier of the domains of `scenarios`; those of domain `other` say nothing."""
    from experiments.understanding.fitting import Example, FitOptions, fit_classifier

    options = FitOptions(buckets=2**14, inverse_regularisation=(1.0, 1.0), share=0.5)
    return fit_classifier([Example(s.query, s.domain) for s in scenarios if s.domain != DOMAINS[-1]], options)


def held_out(scenarios: Sequence[Scenario], folds: int, seed: int = 0) -> np.ndarray:
    """Return int64[S], the rank (1 = first) of each query's domain by a classifier of other people."""
    people: dict[object, int] = {}
    person = np.array([people.setdefault(s.profile, len(people)) for s in scenarios])
    fold = np.random.default_rng(seed).permutation(len(people))[person] % folds
    ranks = np.zeros(len(scenarios), np.int64)
    for own in range(folds):
        classifier = train([s for s, f in zip(scenarios, fold, strict=True) if f != own])
        for i in np.flatnonzero(fold == own).tolist():
            found = classifier.probabilities(scenarios[i].query)
            ranks[i] = sum(p >= found[scenarios[i].domain] for p in found.values())
    return ranks


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or measure held out; exit 2 on a mistake."""
    own = parser("train_domain")
    chosen = own.parse_args(arguments)
    with mistakes_in_one_line():
        check_installed("training", "train", "sklearn")
        check_file_or_folds(chosen)
        found = [s for s in load_scenarios(chosen.scenarios).scenarios if s.domain != DOMAINS[-1]]
        if len({s.domain for s in found}) < 2:
            raise UserError(f"{chosen.scenarios}: found fewer than two domains, expected several")
        if chosen.file is not None:
            train(found).save(chosen.file)
        else:
            ranks = held_out(found, chosen.folds)
            print(f"{len(ranks):,} queries: first {np.mean(ranks == 1):.3f}, two {np.mean(ranks <= 2):.3f}")


if __name__ == "__main__":
    main()
