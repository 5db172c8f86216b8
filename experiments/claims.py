"""Print published claims beside what evaluations measured: `python -m experiments.claims RUN [RUN ...]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from envs import UserError
from experiments.console.arguments import parser
from experiments.evaluation.report.html_page import markdown
from experiments.evaluation.report.published_claims import claims, claims_grid, read_summary


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the claims of some runs as one Markdown table; exit 2 on a mistake."""
    own = parser("claims", __doc__)
    own.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="output folder of experiments.evaluate"
    )
    chosen = own.parse_args(arguments)
    try:
        rows = [claim for run in chosen.runs for claim in claims(read_summary(run))]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(markdown(claims_grid(list(dict.fromkeys(rows)))), end="")


if __name__ == "__main__":
    main()
