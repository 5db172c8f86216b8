"""Print published claims beside what runs measured: `python -m experiments.claims RUN [RUN ...]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.evaluation.report.published_claims import Claim, claims, claims_grid, read_summary
from experiments.pages import markdown
from experiments.penguin.models.leaderboard import paper_grid
from experiments.penguin.run_claims import run_claims


def _claims(run: Path) -> list[Claim]:
    found = run_claims(run)
    return claims(read_summary(run)) if found is None else found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the claims of some runs as one Markdown table, and the paper's tables; exit 2 on a mistake."""
    chosen = parser("claims").parse_args(arguments)
    with mistakes_in_one_line():
        rows = [claim for run in chosen.runs for claim in _claims(run)]
    if not rows:
        print("No claim was published of what these runs measured: their attributes are not PENGUIN's.")
        return
    paper = paper_grid()
    print(markdown(claims_grid(list(dict.fromkeys(rows)))))
    print(f"{paper.title}\n\n{paper.note}\n\n{markdown(paper)}", end="")


if __name__ == "__main__":
    main()
