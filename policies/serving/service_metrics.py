"""What is counted: kinds of turns and of answers, and times. No metric has a label that anybody wrote."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names a folder where several workers add up their counters; set before this module is imported."""


class ServiceMetrics:
    """Counters of one process, or of all workers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._turns = Counter("raise_turns", "Turns by what came of them", ["kind"], registry=self._registry)
        self._requests = Counter(
            "raise_requests", "Requests by route and status", ["route", "status"], registry=self._registry
        )
        self.in_flight = Gauge(
            "raise_requests_in_flight",
            "Requests being answered",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._own_seconds = Histogram(
            "raise_own_seconds",
            "Seconds from a request to its own reply, or to its request upstream",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=self._registry,
        )

    def turn(self, kind: str, own_seconds: float) -> None:
        """Count a turn, and the time that it took here."""
        self._turns.labels(kind).inc()
        self._own_seconds.observe(own_seconds)

    def request(self, route: str, status: int) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """Return all counters in Prometheus' text form."""
        registry = self._registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
