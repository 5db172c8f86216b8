"""HTTP client of an endpoint, and what a first connection finds where there is none."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

import openai
from openai._types import RequestOptions

from envs.llm.endpoint import Endpoint

CONNECT_S, FIRST_CONNECT_S = 3.0, 2.0
"""Seconds to open a connection, and one to an endpoint that has answered nothing yet: it may be none.

With the look after it (`PROBE_S`) that is told within 5 s, also by a machine that is busy meanwhile.
"""
A_POOL, LARGEST_POOL, PAYS_AFTER = 4, 64, 100
"""Requests that share a client: at each one that begins or ends its pool looks at all of its connections.

A further client takes 23 ms to make, as much as `PAYS_AFTER` requests save by it: until so many were sent for
each there are no more than `LARGEST_POOL` needs.
"""
PROBE_S = 1.5
"""Seconds for one more look at where none was opened: time for a packet that is sent again after one."""
AS_IT_COMES: RequestOptions = {"headers": {"X-Stainless-Raw-Response": "true"}}
"""Option of the package: hand out the answer with its headers, not what it holds."""
_UNANSWERED = ("ConnectError", "ConnectTimeout")


class Clients:
    """Clients of one endpoint, as many as pay for its requests under way; used on one loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.first = make_client(endpoint)
        self._clients, self._under_way = [self.first], [0]
        self._sent = 0

    @contextmanager
    def one(self) -> Iterator[openai.AsyncOpenAI]:
        """Hand out a client for one request."""
        self._sent += 1
        least = min(self._under_way)
        place = self._under_way.index(least)
        if least >= (A_POOL if self._sent > PAYS_AFTER * len(self._clients) else LARGEST_POOL):
            place = len(self._clients)
            self._clients.append(make_client(self._endpoint))
            self._under_way.append(0)
        self._under_way[place] += 1
        try:
            yield self._clients[place]
        finally:
            self._under_way[place] -= 1


def make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Return the package's client of `endpoint`; it repeats nothing by itself."""
    for name in ("httpx", "httpx2"):
        # A line for each request at level INFO, which a run's root logger would print.
        logging.getLogger(name).setLevel(logging.WARNING)
    timeout = time_for(endpoint, CONNECT_S)
    headers = endpoint.sent_headers()
    # The package's own one, when it is collected, closes its sockets on whatever loop the collector runs on.
    http = openai.DefaultAsyncHttpxClient()
    if endpoint.api == "azure":
        endpoint.check_api_version()
        return openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint.url,
            # The package takes a token of Entra ID from the environment, in place of a key.
            api_key=None if os.environ.get("AZURE_OPENAI_AD_TOKEN") else endpoint.key(),
            api_version=endpoint.api_version,
            timeout=timeout,
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        base_url=endpoint.url,
        api_key=endpoint.key(),
        timeout=timeout,
        max_retries=0,
        default_headers=headers,
        http_client=http,
    )


def time_for(endpoint: Endpoint, connect_s: float) -> openai.Timeout:
    """Return how long a request may take, and of it the opening of a connection."""
    return openai.Timeout(endpoint.timeout_s, connect=min(connect_s, endpoint.timeout_s))


def no_endpoint(cause: BaseException | None) -> str:
    """Return what a first connection found instead of an endpoint, "" where it may have been an accident."""
    if type(cause).__name__ in _UNANSWERED:
        return (
            "no TLS connection (its certificate, or it is http)" if "SSL" in str(cause) else "nothing answers"
        )
    garbled = type(cause).__name__ == "RemoteProtocolError" and "illegal" in str(cause)
    return "something that does not speak HTTP answers" if garbled else ""


async def is_silent(url: str) -> bool:
    """Tell whether nobody takes a connection there within `PROBE_S`, by the system's own clock.

    It waits in a thread, so that a loop that was busy meanwhile is no sign. Behind a proxy nothing is told.
    """
    parts = urlsplit(url)
    address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def tried() -> bool:
        try:
            socket.create_connection(address, PROBE_S).close()
        except TimeoutError:
            return True
        except OSError:
            pass
        return False

    return not getproxies() and await asyncio.to_thread(tried)


async def absence(client: openai.AsyncOpenAI, within_s: float) -> str:
    """Return what is found in place of an endpoint, "" where one answers within `within_s`, with whatever."""
    try:
        async with asyncio.timeout(within_s):
            await client.get("/models", cast_to=object, options=AS_IT_COMES)
    except (TimeoutError, openai.APITimeoutError):
        return f"nothing answers within {within_s:g} s"
    except openai.APIConnectionError as error:
        return no_endpoint(error.__cause__)
    except openai.APIStatusError:
        pass
    return ""
