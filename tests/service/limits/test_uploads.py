"""Places for uploads: in one process, and over all processes that share a PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from jobsvc.deadlines import time_limit
from jobsvc.jobs.errors import TooManyUploads
from jobsvc.service.limits.uploads import OwnPlaces, Places, Uploads
from jobsvc.settings import Settings
from jobsvc.store.errors import DatabaseBusy, DatabaseDown
from jobsvc.store.postgresql.session_places import SessionPlaces
from tests.support.databases import fresh
from tests.support.waiting import poll

NAME = "jobsvc uploads of ann"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fresh("postgresql") as found:
        yield found


@pytest.fixture
def process(url: str) -> Iterator[Callable[[], SessionPlaces]]:
    """Makes the places of one process after the other."""
    made: list[SessionPlaces] = []

    def make() -> SessionPlaces:
        made.append(SessionPlaces(Settings(database_url=url).url, f"jobsvc web test {len(made)}"))
        return made[-1]

    yield make
    for places in made:
        places.shut_down(1)


def end_sessions(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'jobsvc web test%'"
        )


def taken_by_many(places: list[Places], most: int) -> int:
    """How many of thirty threads, each with one of the processes, get a place at the same time."""
    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(lambda n: places[n % len(places)].take(NAME, most), range(30)))
    return sum(number is not None for number in found)


def test_in_one_process_threads_that_come_at_once_take_no_more_places_than_there_are() -> None:
    assert taken_by_many([OwnPlaces()], 4) == 4


def test_over_three_processes_threads_that_come_at_once_take_no_more_places_than_there_are(
    process: Callable[[], SessionPlaces],
) -> None:
    assert taken_by_many([process(), process(), process()], 4) == 4


def test_a_place_that_was_given_back_is_for_anybody(process: Callable[[], SessionPlaces]) -> None:
    first, second = process(), process()
    number = first.take(NAME, 1)
    assert number == 1
    assert second.take(NAME, 1) is None
    assert second.take("jobsvc uploads of bob", 1) == 1
    first.give_back(NAME, number)
    assert second.take(NAME, 1) == 1
    assert first.take(NAME, 1) is None


def test_what_a_process_has_is_free_when_its_session_ends(process: Callable[[], SessionPlaces]) -> None:
    first, second = process(), process()
    assert [first.take(NAME, 2), first.take(NAME, 2)] == [1, 2]
    assert second.take(NAME, 2) is None
    first.shut_down(1)
    # The server notices a moment later.
    poll(lambda: second.take(NAME, 2) is not None, 30, "the places to be free")


def test_a_process_whose_session_was_ended_has_its_places_in_the_next_one(
    url: str, process: Callable[[], SessionPlaces]
) -> None:
    first, second = process(), process()
    assert first.take(NAME, 2) == 1
    end_sessions(url)
    assert first.take(NAME, 2) == 2
    assert second.take(NAME, 2) is None
    first.give_back(NAME, 1)
    assert second.take(NAME, 2) == 1


def test_an_end_of_the_session_does_not_keep_a_place_from_being_given_back(
    url: str, process: Callable[[], SessionPlaces]
) -> None:
    first = process()
    number = first.take(NAME, 1)
    assert number is not None
    end_sessions(url)
    first.give_back(NAME, number)
    assert first.take(NAME, 1) == 1


def test_without_the_database_nobody_gets_a_place_and_it_is_told() -> None:
    places = SessionPlaces("postgresql+psycopg://nobody@127.0.0.1:1/nothing", None)
    with pytest.raises(DatabaseDown):
        places.take(NAME, 1)
    assert not places._guard.locked()


def test_a_shutdown_does_not_wait_for_a_server_that_does_not_answer(process: Callable[[], SessionPlaces]) -> None:
    places = process()
    # Stands for a thread that waits for the server.
    with places._guard, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(places.shut_down, 0.1)
        try:
            assert ended.result(5) is None
        finally:
            places._guard.release()
            ended.result(5)
            places._guard.acquire()


def test_nobody_waits_for_the_session_longer_than_the_request_may(process: Callable[[], SessionPlaces]) -> None:
    places = process()
    with places._guard, time_limit(0.05), pytest.raises(DatabaseBusy):
        places.take(NAME, 1)


def test_an_upload_has_its_place_until_it_is_over_however_it_ends() -> None:
    uploads = Uploads(OwnPlaces(), 1)
    with uploads.one_of("ann"):
        with pytest.raises(TooManyUploads, match=r"ann has 1 uploads under way.*JOBSVC_USER_MAX_UPLOADS"):
            uploads.one_of("ann").__enter__()
        with uploads.one_of("bob"):
            pass
    with pytest.raises(ZeroDivisionError), uploads.one_of("ann"):
        raise ZeroDivisionError
    with uploads.one_of("ann"):
        pass


def test_without_a_limit_nobody_is_counted() -> None:
    class NoPlaces:
        def take(self, name: str, places: int) -> int | None:
            raise AssertionError

        def give_back(self, name: str, number: int) -> None:
            raise AssertionError

    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(Uploads(NoPlaces(), 0).one_of("ann"))
