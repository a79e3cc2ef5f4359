"""Trying an item again, without getting in the way of a stop."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from jobsvc.kinds.context import StopSign
from jobsvc.kinds.errors import ItemAbandoned, JobFailed, Refused
from jobsvc.kinds.item import Retry

FINAL = (Refused, ItemAbandoned, JobFailed)
"""What says by itself that trying again is no use."""


def call_with_retry(once: Callable[[], None], retry: Retry | None, stopped: StopSign) -> None:
    """Call `once`, again where `retry` says so. Raises what the last try raised.

    Raises ItemAbandoned if `stopped` is set when a try has failed that is to be
    followed by another, or in the pause before that: there is no further try.
    """
    if retry is None:
        once()
        return
    on = retry.on

    def pause(seconds: float) -> None:
        if stopped.wait(seconds):
            raise ItemAbandoned

    tries = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, on) and not isinstance(error, FINAL)),
        stop=stop_after_attempt(retry.attempts),
        wait=wait_exponential_jitter(multiplier=retry.first_delay, max=retry.max_delay, jitter=retry.first_delay),
        sleep=pause,
        reraise=True,
    )
    tries(once)
