"""Of all tests: an interrupt reaches the commands they start, none fails for being slow; axe-core."""

import signal

import pytest
from hypothesis import settings

from tests.axe import axe_core

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores interrupts, and whatever it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("any machine", deadline=None)  # an example's 200 ms are a wall time
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def axe(request):
    """The text of axe-core."""
    return axe_core(request.config.cache)
