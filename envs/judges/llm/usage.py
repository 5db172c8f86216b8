"""Count requests and cache hits of a judge or prior, by thread."""

from __future__ import annotations

import threading


class Usage(threading.local):
    """Requests that were billed, replies from a cache, rankings of a prior that could not be read.

    Counted in the calling thread: a plan stays in one, so that its own counts are the difference of two
    readings there. A copy that goes to another process starts from zero.
    """

    requests: int = 0
    cache_hits: int = 0
    invalid_rankings: int = 0

    def add(self, requests: int = 0, cache_hits: int = 0, invalid_rankings: int = 0) -> None:
        """Count in the calling thread."""
        self.requests += requests
        self.cache_hits += cache_hits
        self.invalid_rankings += invalid_rankings

    def __reduce__(self) -> tuple[type[Usage], tuple[()]]:
        return Usage, ()


class CountsItsRequests:
    """A judge or prior that counts for the calling thread, in `usage`."""

    usage: Usage

    @property
    def requests(self) -> int:
        """HTTP requests sent for the calling thread."""
        return self.usage.requests

    @property
    def cache_hits(self) -> int:
        """Replies that the calling thread was given without a request."""
        return self.usage.cache_hits
