"""Train the gate's classifier of risky messages: `python -m experiments.train_gate SCENARIOS FILE`.

SCENARIOS is any scenario file, such as PENGUIN's synthetic half; its queries, the package's own scenarios and
the messages written for it are trained on, and the coefficients alone go into FILE. The same scenarios give
the same file, but for what processors round otherwise. With `--folds N` nothing is written: each message is
read by a classifier of other people and other authors, and for some thresholds the shares that would get
questions, suspicions of the detector included, are printed. `OPENS` was set by these, and
by everyday messages of an author who is in none of the files, for at most 2 % of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.checking.extras import check_installed
from envs.loading import load_scenarios
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.understanding import check_file_or_folds
from policies.serving.questions.gates import OPENS, SUSPECTED
from policies.understanding.detectors.rules_detector import default_detector

if TYPE_CHECKING:
    from experiments.understanding.gate_model import GateMessage

THRESHOLDS = (0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.92, 0.95)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or measure held out; exit 2 on a mistake."""
    chosen = parser("train_gate").parse_args(arguments)
    with mistakes_in_one_line():
        check_installed("training", "train", "sklearn")
        from experiments.understanding.gate_model import fit_gate, gate_messages, held_out_risk

        check_file_or_folds(chosen)
        queries = load_scenarios(chosen.scenarios).scenarios
        messages = gate_messages(queries)
        if chosen.file is not None:
            fit_gate(messages).save(chosen.file)
            return
        print_shares(messages, held_out_risk(messages, chosen.folds))


def print_shares(messages: Sequence[GateMessage], risk: np.ndarray) -> None:
    """Print for each threshold, and each source of messages, the share that would get questions."""
    detector = default_detector()
    signs = [detector.check(message.text) for message in messages]
    found = [
        sign is not None and (sign.certain or p >= SUSPECTED) for sign, p in zip(signs, risk, strict=True)
    ]
    sources = np.array([message.source for message in messages])
    names = dict.fromkeys(sources.tolist())
    print(" ".join(["threshold", *(f"{name:>12}" for name in names)]))
    for threshold in sorted({*THRESHOLDS, OPENS}):
        opened = (risk >= threshold) | np.array(found)
        print(" ".join([f"{threshold:9.2f}", *(f"{np.mean(opened[sources == n]):12.3f}" for n in names)]))
    print(" ".join(["messages ", *(f"{np.sum(sources == name):12,}" for name in names)]))


if __name__ == "__main__":
    main()
