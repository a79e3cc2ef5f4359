"""Workers that were given up and live: they notice, and begin anew."""

from __future__ import annotations

from tests.support.fleet import Fleet
from tests.support.waiting import poll


def known(fleet: Fleet, purpose: str) -> list[int]:
    query = "SELECT id FROM procrastinate_workers JOIN workers USING (id) WHERE purpose = %s"
    return [number for (number,) in fleet.query(query, purpose)]


def give_up(fleet: Fleet, *purposes: str) -> None:
    """Do to the workers for some purposes what the sweep does to those without heartbeats."""
    for purpose in purposes:
        wait_known(fleet, purpose)
    gone = "DELETE FROM procrastinate_workers WHERE id IN (SELECT id FROM workers WHERE purpose = ANY(%s)) RETURNING id"
    assert len(fleet.query(gone, list(purposes))) == len(purposes)


def wait_known(fleet: Fleet, purpose: str) -> None:
    poll(lambda: known(fleet, purpose) != [], 20, f"the worker for {purpose}\n{fleet.story()}")


def test_a_worker_that_was_given_up_while_it_had_nothing_to_do_is_there_again_and_takes_work(fleet: Fleet) -> None:
    web = fleet.start_web()
    fleet.start_worker()
    purposes = ("runs", "rollbacks", "recovery")
    give_up(fleet, *purposes)
    for purpose in purposes:
        wait_known(fleet, purpose)
    assert [worker["name"] for worker in web.get("/workers")["workers"]] == ["worker-0"]
    job_id = fleet.ticks(20)
    fleet.wait_all([job_id], 30)
    assert web.job(job_id)["attempt"] == 1
    fleet.assert_counted(job_id, 20)
    assert "Traceback" not in fleet.workers[0].log.read_text()


def test_runs_go_on_when_the_worker_for_rollbacks_in_their_process_was_given_up(fleet: Fleet) -> None:
    web = fleet.start_web()
    fleet.start_worker()
    job_id = fleet.ticks(1500)
    web.wait_done(job_id, 1)
    give_up(fleet, "rollbacks", "recovery")
    for purpose in ("rollbacks", "recovery"):
        wait_known(fleet, purpose)
    assert web.job(job_id)["state"] == "running", "it was over before it could be disturbed"
    fleet.wait_all([job_id], 60)
    assert web.job(job_id)["attempt"] == 1
    fleet.assert_counted(job_id, 1500)


def test_a_run_whose_worker_was_given_up_hands_its_job_over_and_every_item_is_there_once(fleet: Fleet) -> None:
    web = fleet.start_web()
    fleet.start_worker()
    job_id = fleet.ticks(600)
    web.wait_done(job_id, 1)
    give_up(fleet, "runs")
    fleet.wait_all([job_id], 60)
    assert web.job(job_id)["attempt"] == 2
    fleet.assert_counted(job_id, 600)
    fleet.assert_queue_empty()
