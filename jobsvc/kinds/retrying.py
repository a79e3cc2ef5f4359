"""Trying an item again, without getting in the way of a stop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from jobsvc.kinds.context import StopSign
from jobsvc.kinds.errors import ItemAbandoned, JobFailed, Refused
from jobsvc.kinds.item import Retry

FINAL = (Refused, ItemAbandoned, JobFailed)
"""Exceptions that say themselves that another try is of no use."""


def call_with_retry(
    once: Callable[[], None], retry: Retry | None, stopped: StopSign, note: Callable[[str], None]
) -> None:
    """Call `once`, and again if `retry` says so. Raises what the last try raised.

    `note` is told of each try that failed and is not the last.

    Raises ItemAbandoned if `stopped` is set in the pause before another try, or was set
    before that pause.
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
        before_sleep=partial(_tell, note, retry.attempts),
        reraise=True,
    )
    tries(once)


def _tell(note: Callable[[str], None], attempts: int, tries: RetryCallState) -> None:
    error = None if tries.outcome is None else tries.outcome.exception()
    why = f"{type(error).__name__}: {error}"
    note(f"try {tries.attempt_number} of {attempts} failed, the next one is in {tries.upcoming_sleep:.1f} s: {why}")
