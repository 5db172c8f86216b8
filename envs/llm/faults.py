"""What stops a run: an endpoint that cannot work, and a limit that is reached. Each is one line."""

from __future__ import annotations

from envs.errors import UserError


class EndpointError(UserError):
    """A request that no repetition can mend: a refused key, an unknown model, a context too long.

    Messages are our own words: what a server says may repeat a key or a prompt.
    """


class EndpointDown(EndpointError):
    """The endpoint did not answer within all retries."""


class SchemaRefused(EndpointError):
    """The endpoint does not take a JSON schema for a reply."""


class LimitReached(UserError):
    """`max_requests`, `max_tokens` or `max_cost` is used up; what was paid for is in cache and journal."""

    exit_code = 3


class CacheMiss(UserError):
    """A reply that replay needs is not in the cache file."""
