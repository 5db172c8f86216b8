"""Public name of `search.algorithms.mcts`."""

from search.algorithms.mcts import MCTSSearch

__all__ = ["MCTSSearch"]
