"""Runs tasks in threads and yields results in order; an interrupt starts nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from search.parallel.concurrency import CancelToken, in_order

_T = TypeVar("_T")


def at_once(tasks: Sequence[Callable[[], _T]], n: int) -> Iterator[_T]:
    """Yield the results of `tasks` in their order, `n` of them at work at one time; with n = 1 no threads.

    When one raises, and on Ctrl-C, no further task begins, and those under way, which may be paid for, come
    to their end first.
    """
    if n == 1:
        yield from (task() for task in tasks)
        return
    cancel, waiting = CancelToken(), iter(tasks)

    def guarded(task: Callable[[], _T]) -> _T:
        cancel.check()
        with cancel.closed_by_an_error():
            return task()

    with ThreadPoolExecutor(n, thread_name_prefix="evaluate") as pool:

        def submit(count: int) -> list[Future[_T]]:
            return [pool.submit(guarded, task) for task in islice(waiting, count)]

        yield from in_order(submit, n, cancel)
