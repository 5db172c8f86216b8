"""CPU time of one call, for tests that compare two of them."""

import gc
import time
from collections.abc import Callable


def cpu_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the least CPU time of `repeats` calls, in seconds of this thread.

    Other threads of the process (servers of tests, trackers) and the collector's rounds over what other tests
    left are not counted: they made a ratio of 42 out of 10 once.
    """
    took = []
    for _ in range(repeats):
        gc.disable()
        try:
            begin = time.thread_time()
            call()
            took.append(time.thread_time() - begin)
        finally:
            gc.enable()
    return min(took)
