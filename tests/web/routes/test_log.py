"""The log of a job: what its runs and its kind say, over attempts, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from jobsvc.jobs import run_log
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, JobContext, JobFailed, Log, RowKind, Work
from jobsvc.store.queries.log_rows import MAX_CHARACTERS, MAX_LINES
from jobsvc.web.services import Services
from tests.support.talkative import Talkative
from tests.support.waiting import TIMEOUT, poll, wait_for

pytestmark = pytest.mark.both_databases

MakeApp = Callable[..., Flask]


def count_lines(app: Flask) -> int:
    """How many lines the database holds, of all jobs."""
    with app.extensions["jobsvc"].jobs.lookup._database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM job_log").scalar_one())


class Job:
    """One job of a kind, by HTTP."""

    def __init__(self, app: Flask, kind: str, *rows: str) -> None:
        self.client: FlaskClient = app.test_client()
        self.services: Services = app.extensions["jobsvc"]
        answer = self.client.post(f"/kinds/{kind}/jobs", data="\n".join(["do,cell", *rows, ""]).encode())
        assert answer.status_code == 201, answer.data
        self.id: str = answer.get_json()["id"]

    def wait_for(self, *states: State) -> Job:
        wait_for(self.services, self.id, *states)
        return self

    def post(self, action: str) -> None:
        assert self.client.post(f"/jobs/{self.id}/{action}").status_code in (200, 202)

    def page(self, query: str = "") -> Any:
        answer = self.client.get(f"/jobs/{self.id}/log{query}")
        assert answer.status_code == 200, answer.data
        return answer.get_json()

    @property
    def lines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page("?limit=1000")["lines"]
        return found

    @property
    def said(self) -> list[tuple[int, str, int | None, str]]:
        return [(line["attempt"], line["level"], line["item"], line["text"]) for line in self.lines]


def test_a_job_tells_where_it_began_what_its_kind_said_and_how_it_ended(make_app: MakeApp) -> None:
    job = Job(make_app([Talkative()]), "talkative", "say,1", "refuse,2", "again,3").wait_for(State.SUCCEEDED)
    *said, (_, level, item, retried), again, ended = job.said
    assert said == [
        (1, "info", None, "attempt 1 begins at item 1"),
        (1, "info", 1, "doing say"),
        (1, "info", 2, "doing refuse"),
        (1, "info", 3, "doing again"),
    ]
    assert (level, item) == ("warning", 3)
    assert retried.startswith("try 1 of 3 failed, the next one is in ")
    assert retried.endswith(" s: Passes: 3")
    assert again == (1, "info", 3, "doing again")
    assert ended == (1, "info", None, "succeeded: every item was done or refused; 2 done, 1 refused")
    assert [line["line"] for line in job.lines] == list(range(1, 8))
    assert [line["said_by"] for line in job.lines] == ["service", *["kind"] * 5, "service"]
    assert job.client.get(f"/jobs/{job.id}").get_json()["links"]["log"] == f"/jobs/{job.id}/log"


def test_what_was_said_is_there_when_the_batch_fails_and_the_next_attempt_adds_to_it(make_app: MakeApp) -> None:
    job = Job(make_app([Talkative()]), "talkative", "say,1", "break,x-1").wait_for(State.FAILED)
    wanted: list[tuple[int, str, int | None, str]] = [
        (1, "info", None, "attempt 1 begins at item 1"),
        (1, "info", 1, "doing say"),
        (1, "info", 2, "doing break"),
    ]
    *said, (_, level, item, failed) = job.said
    assert said == wanted
    assert (level, item) == ("error", None)
    assert failed.startswith("failed: ValueError: invalid literal")
    assert failed.endswith("; 1 done, 0 refused")
    job.post("resume")
    job.wait_for(State.FAILED)
    assert [line[0] for line in job.said] == [1, 1, 1, 1, 2, 2, 2]
    assert job.said[4][3] == "attempt 2 begins at item 2"


class Clashes(RowKind):
    """Hands in an effect that the database refuses."""

    name = "clashes"

    def process(self, row: Any, item: Item) -> None:
        item.log("about to clash")
        item.execute(text("INSERT INTO nowhere VALUES (1)"))


def test_what_was_said_is_there_when_the_checkpoint_itself_fails(make_app: MakeApp) -> None:
    job = Job(make_app([Clashes()]), "clashes", "say,1").wait_for(State.FAILED)
    assert job.said[1] == (1, "info", 1, "about to clash")


class Held(RowKind):
    """Says something, and is held at its second item."""

    name = "held"

    def __init__(self) -> None:
        self.reached, self.go = Event(), Event()

    def process(self, row: Any, item: Item) -> None:
        item.log(f"doing {item.number}")
        if item.number == 2:
            self.reached.set()
            assert self.go.wait(TIMEOUT)


@pytest.mark.parametrize(("action", "state"), [("pause", State.PAUSED), ("terminate", State.TERMINATED)])
def test_what_was_said_is_there_when_the_job_was_stopped(make_app: MakeApp, action: str, state: State) -> None:
    kind = Held()
    job = Job(make_app([kind]), "held", "a,1", "b,2", "c,3")
    assert kind.reached.wait(TIMEOUT)
    assert len(job.said) == 1, "nothing is written for each line"
    assert job.client.post(f"/jobs/{job.id}/{action}?wait=0").status_code == 202
    kind.go.set()
    job.wait_for(state)
    assert [line[3].partition(":")[0] for line in job.said[1:]] == ["doing 1", "doing 2", str(state)]
    assert job.said[-1][3].endswith("2 done, 0 refused")


def test_what_was_said_is_there_when_the_process_ended_in_good_order(make_app: MakeApp) -> None:
    kind = Held()
    app = make_app([kind])
    job = Job(app, "held", "a,1", "b,2", "c,3")
    assert kind.reached.wait(TIMEOUT)
    kind.go.set()
    job.services.close()
    again = make_app([Held()])
    job.client, job.services = again.test_client(), again.extensions["jobsvc"]
    job.wait_for(State.SUCCEEDED)
    texts = [line[3] for line in job.said]
    assert texts[1:3] == ["doing 1", "doing 2"]
    assert texts.count("doing 3") == 1
    if "interrupted" in str(texts):
        assert job.said[3][1] == "warning"


class Crowd(RowKind):
    """Speaks on several threads at once."""

    name, concurrency = "crowd", 4

    def process(self, row: Any, item: Item) -> None:
        for number in range(20):
            item.log(f"{row['cell']}.{number}", level="warning")


def test_threads_of_one_job_lose_no_line_of_theirs(make_app: MakeApp) -> None:
    job = Job(make_app([Crowd()]), "crowd", *(f"say,{n}" for n in range(12))).wait_for(State.SUCCEEDED)
    found = [(line[2], line[3]) for line in job.said[1:-1]]
    assert sorted(found) == sorted((n + 1, f"{n}.{m}") for n in range(12) for m in range(20))
    assert [text for item, text in found if item == 5] == [f"4.{m}" for m in range(20)]


def test_of_many_lines_the_newest_are_kept_and_a_line_tells_how_many_were_dropped(make_app: MakeApp) -> None:
    app = make_app([Talkative()])
    job = Job(app, "talkative", "say,1", "shout,2", "say,3").wait_for(State.SUCCEEDED)
    # attempt, doing say, doing shout, ten thousand, doing say, succeeded
    total = 1 + 1 + 1 + 10_000 + 1 + 1
    lines = job.lines
    kept = [line for line in lines if "were dropped" not in line["text"]]
    assert len(kept) <= MAX_LINES
    assert kept[-1]["line"] == total
    assert kept[-3]["text"] == "line 9999"
    (dropped,) = [line for line in lines if line not in kept]
    assert dropped["text"] == f"{total - MAX_LINES} lines before this were dropped: a job keeps its newest 1000 lines"
    assert (dropped["level"], dropped["line"], lines.index(dropped)) == ("warning", total - MAX_LINES, 0)
    assert count_lines(app) == MAX_LINES


def test_the_log_comes_in_pages_and_goes_on_after_its_last_line(make_app: MakeApp) -> None:
    app = make_app([Talkative()])
    job = Job(app, "talkative", *["say,1"] * 7, "break,x").wait_for(State.FAILED)
    whole, found, after = job.lines, [], ""
    while True:
        page = job.page(f"?limit=4{after}")
        found += page["lines"]
        if page["next"] is None:
            break
        assert len(page["lines"]) == 4
        after = f"&after={page['next']}"
    assert found == whole
    assert job.page(f"?after={whole[-1]['line']}") == {"lines": [], "next": None}
    job.post("resume")
    job.wait_for(State.FAILED)
    assert [line["attempt"] for line in job.page(f"?after={whole[-1]['line']}")["lines"]] == [2, 2, 2]


@pytest.mark.in_one_app
@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?after=x", "?after=1.2", "?since=1"])
def test_what_can_not_be_asked_for_is_refused(make_app: MakeApp, query: str) -> None:
    job = Job(make_app([Talkative()]), "talkative", "say,1")
    assert job.client.get(f"/jobs/{job.id}/log{query}").status_code == 400
    assert job.client.get("/jobs/nobody/log").status_code == 404


class Odd(RowKind):
    """Says what is hard to keep."""

    name = "odd"

    def process(self, row: Any, item: Item) -> None:
        item.log("x" * 2_000)
        item.log("a\nb\0c\ud800d\N{SNOWMAN}")
        try:
            item.log("no", level="loud")
        except ValueError as error:
            item.log(str(error))


def test_a_line_has_a_longest_length_and_any_text_can_be_kept(make_app: MakeApp) -> None:
    job = Job(make_app([Odd()]), "odd", "say,1").wait_for(State.SUCCEEDED)
    long, odd, level = (line[3] for line in job.said[1:-1])
    assert long == "x" * MAX_CHARACTERS + "… (1000 characters left out)"
    assert odd.replace("\N{REPLACEMENT CHARACTER}", "\0") == "a\nb\0c\\ud800d\N{SNOWMAN}"
    assert level == "there is no level 'loud' for a line of a job's log: it is debug, info, warning, error"


class Misnumbers(RowKind):
    """Says each line about something that may be no number of an item."""

    name = "misnumbers"

    def __init__(self, *items: Any) -> None:
        self.items = items
        self._log: Log | None = None

    def open(self, context: JobContext) -> Work:
        self._log = context.log
        return super().open(context)

    def process(self, row: Any, item: Item) -> None:
        assert self._log is not None
        for about in self.items:
            self._log("said", item=about)


class Index:
    """A whole number of another library, as numpy's are."""

    def __index__(self) -> int:
        return 7


def test_a_line_about_what_is_no_item_is_kept_and_the_job_goes_on(make_app: MakeApp) -> None:
    kind = Misnumbers(Index(), True, 2**63 - 1, None, Decimal(1), "A-17", 1.0, 2**63, -(2**70), 10**5000, [2**70])
    job = Job(make_app([kind]), "misnumbers", "say,1").wait_for(State.SUCCEEDED, State.FAILED)
    large = "[an item whose number is too large] said"
    assert [(line[2], line[3]) for line in job.said[1:]] == [
        (7, "said"),
        (1, "said"),
        (2**63 - 1, "said"),
        (None, "said"),
        (None, "[item Decimal('1')] said"),
        (None, "[item 'A-17'] said"),
        (None, "[item 1.0] said"),
        (None, large),
        (None, large),
        (None, large),
        (None, "[item [1180591620717411303424]] said"),
        (None, "succeeded: every item was done or refused; 1 done, 0 refused"),
    ]


@pytest.mark.parametrize("bad", [2**70, object()], ids=["large", "object"])
@pytest.mark.parametrize(("action", "ends"), [(None, State.FAILED), ("terminate", State.TERMINATED)])
def test_a_run_ends_without_the_lines_that_the_database_does_not_take(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, bad: Any, action: str | None, ends: State
) -> None:
    # As if such a line got through: each is checked when it is said.
    monkeypatch.setattr(run_log, "_number", lambda item: (bad, ""))
    kind = Held()
    job = Job(make_app([kind]), "held", "a,1", "b,2")
    assert kind.reached.wait(TIMEOUT)
    if action is not None:
        assert job.client.post(f"/jobs/{job.id}/{action}?wait=0").status_code == 202
    kind.go.set()
    job.wait_for(ends)
    assert ("error", "the database does not take what the kind has said: 2 lines are left out") in [
        (line[1], line[3]) for line in job.said
    ]


class Halved(RowKind):
    """Fails its job in words that no database takes."""

    name = "halved"

    def process(self, row: Any, item: Item) -> None:
        raise JobFailed("half a character: \ud83d, and NUL: \0")


def test_a_job_fails_whatever_the_words_are(make_app: MakeApp) -> None:
    job = Job(make_app([Halved()]), "halved", "say,1").wait_for(State.FAILED)
    error = job.client.get(f"/jobs/{job.id}").get_json()["error"]
    assert error.replace("\N{REPLACEMENT CHARACTER}", "\0") == "half a character: \\ud83d, and NUL: \0"


def test_a_rollback_is_told(make_app: MakeApp) -> None:
    client = make_app().test_client()
    answer = client.post("/uploadCSV", data=b"date,n\n2026-01-01,1\n2026-01-02,2\n").get_json()
    job_id = answer["Job ID"]
    services = client.application.extensions["jobsvc"]
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.post(f"/jobs/{job_id}/rollback").status_code in (200, 202)
    wait_for(services, job_id, State.TERMINATED)
    found = client.get(f"/jobs/{job_id}/log").get_json()["lines"]
    assert [(line["attempt"], line["text"].partition(";")[0]) for line in found[2:]] == [
        (2, "the rollback begins: 2 items are to be undone"),
        (2, f"terminated: {services.jobs.events(job_id)[-1]['why']}"),
    ]


def test_a_job_that_is_forgotten_has_no_log_any_more(make_app: MakeApp) -> None:
    app = make_app([Talkative()])
    job = Job(app, "talkative", "say,1").wait_for(State.SUCCEEDED)
    assert job.client.delete(f"/jobs/{job.id}").status_code == 204
    assert job.client.get(f"/jobs/{job.id}/log").status_code == 404
    poll(lambda: count_lines(app) == 0, TIMEOUT, "its rows to be removed")
