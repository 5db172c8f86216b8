"""Compare two benchmark runs: `python -m experiments.compare_models RUN OTHER`."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.pages import markdown
from experiments.penguin.models.run_comparison import comparison_grid, run_differences, stored_benchmark


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how much higher the second run scores, by protocol, model and condition; exit 2 on a mistake."""
    chosen = parser("compare_models").parse_args(arguments)
    with mistakes_in_one_line():
        first, second = stored_benchmark(chosen.run), stored_benchmark(chosen.other)
        found = run_differences(first, second, first.about["level"])
        grid = comparison_grid(first, second, found)
    print(f"{grid.title}\n\n{grid.note}\n\n{markdown(grid)}", end="")


if __name__ == "__main__":
    main()
