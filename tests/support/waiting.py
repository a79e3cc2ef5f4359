"""Waiting for a job of an application in this process."""

from __future__ import annotations

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, State
from jobsvc.web.services import Services
from tests.support.gated import TIMEOUT
from tests.support.server import poll


def wait_for(services: Services, job_id: str, *states: State, seconds: float = TIMEOUT) -> Job:
    """Read the job until it is in one of the states; returns it. A job that has ended otherwise fails the test."""

    def arrived() -> bool:
        job = services.jobs.get(job_id)
        assert job.state in states or job.state not in FINISHED, f"{job_id} is {job.state}: {job.error}"
        return job.state in states

    poll(arrived, seconds, f"{job_id} to be {' or '.join(states)}")
    return services.jobs.get(job_id)
