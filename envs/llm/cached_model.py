"""A model at an endpoint whose replies are cached: what all that asks one for a purpose has in common."""

from __future__ import annotations

from pathlib import Path

from envs.checking.validation import settings
from envs.llm.books import Accounts
from envs.llm.client import Client
from envs.llm.endpoint import EndpointSettings, Limits, Sampling
from envs.llm.engine import Spent


@settings
class CachedModelSettings(Sampling, EndpointSettings):
    """The endpoint of a model, how its replies are drawn, what they may take."""


class Booked:
    """A part that asks a model through `client`: what its requests took, in this run and this process."""

    client: Client

    @property
    def books(self) -> Accounts:
        """What requests took, by model and kind, in all workers and sessions of the run."""
        return self.client.books

    def keep(self, folder: Path) -> None:
        """Count with what earlier sessions of the run in `folder` took."""
        self.client.engine.keep(folder)

    @property
    def spent(self) -> Spent:
        """What requests have taken so far, in this process."""
        return self.client.spent


class CachedModel(Booked):
    """Its client, and its settings.

    Raises
    ------
    UserError
        no model, a value out of range, or `max_cost` without a price.
    """

    def __init__(self, settings: CachedModelSettings) -> None:
        self.limits: Limits = settings
        self._sampling: Sampling = settings
        self.client = Client(settings, settings, settings.cache_path)
