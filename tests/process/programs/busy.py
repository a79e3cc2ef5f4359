"""A plain interpreter whose main thread itself takes a lock of the service again and again."""

from __future__ import annotations

from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

app = create_app()
services = app.extensions["jobsvc"]
assert isinstance(services, Services)
services.jobs.submit(NewJob(id="one", kind="bulkTeam", user="test", params={}))
while True:
    services.jobs.steering._engine.wake()
