"""Train the classifiers of readers and of the detector: `python -m experiments.train_understanding FOLDER`.

The sentences are in the package, the coefficients go into FOLDER; the same sentences give the same files.
With `--leave-one-out` nothing is written: each author's replies are read by classifiers that were trained
without them, and the shares that were read as answers and those given a right and a wrong level are printed;
likewise the facts that are read of first messages, and the shares of sentences about danger that were
escalated and checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envs import UserError
from envs.checking.extras import check_installed
from experiments.console.arguments import mistakes_in_one_line, parser


def train(folder: Path) -> None:
    """Write every classifier's file into `folder`, an existing one.

    Raises
    ------
    UserError
        scikit-learn is not installed, or `folder` is none.
    """
    from experiments.understanding import danger_model, disclosure_model, intent_models, level_model
    from experiments.understanding.written_replies import written_replies
    from policies.understanding.detectors.rules_detector import CLASSIFIER
    from policies.understanding.readers.disclosures import DISCLOSURES
    from policies.understanding.readers.intents import KINDS, TELLS
    from policies.understanding.readers.levels import LEVELS

    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    replies = written_replies()
    intent_models.tells_classifier(replies).save(folder / TELLS.name)
    intent_models.kinds_classifier(replies).save(folder / KINDS.name)
    level_model.level_classifier(replies).save(folder / LEVELS.name)
    messages = disclosure_model.written_messages()
    disclosure_model.disclosure_classifier(messages, replies).save(folder / DISCLOSURES.name)
    sentences = danger_model.written_danger()
    danger_model.danger_classifier(sentences, replies).save(folder / CLASSIFIER.name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or leave one author out at a time; exit 2 on a mistake."""
    chosen = parser("train_understanding").parse_args(arguments)
    with mistakes_in_one_line():
        check_installed("training", "train", "sklearn")
        if chosen.leave_one_out == (chosen.folder is not None):
            raise UserError("expected a FOLDER or --leave-one-out")
        if chosen.folder is not None:
            train(chosen.folder)
        else:
            _print_left_out()


def _print_left_out() -> None:
    from experiments.understanding import danger_model, disclosure_model, intent_models, level_model
    from experiments.understanding.written_replies import written_replies

    replies = written_replies()
    for line in intent_models.leave_one_out(replies):
        print(line, flush=True)
    for line in level_model.leave_one_out(replies):
        print(line, flush=True)
    for line in disclosure_model.leave_one_out(disclosure_model.written_messages(), replies):
        print(line, flush=True)
    for line in danger_model.leave_one_out(danger_model.written_danger(), replies):
        print(line, flush=True)


if __name__ == "__main__":
    main()
