"""A plain interpreter that builds the service, gives it the CSV file `argv[1]` if there is one, and waits."""

from __future__ import annotations

import shutil
import sys
import threading

from jobsvc.process.app import create_app
from jobsvc.service.new_job import NewJob
from jobsvc.web.services import Services

app = create_app()
services = app.extensions["jobsvc"]
assert isinstance(services, Services)
if len(sys.argv) > 1:
    shutil.copyfile(sys.argv[1], services.files.input("plain-job"))
    services.jobs.submit(NewJob(id="plain-job", kind="baselineCSV", user="test", params={"date_column": "time_hour"}))
threading.Event().wait()
