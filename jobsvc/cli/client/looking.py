"""`list`, `show`, `events`, `log`, `kinds`, `workers`: what there is."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep
from typing import Any

import click

from jobsvc.cli.client.api import MAX_PAGE, Api, job_path, kind_path
from jobsvc.cli.client.bars import duration
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import MAX_CELL, Output, items_of, printable, shortened
from jobsvc.cli.client.talking import command, talks
from jobsvc.identifiers import Priority
from jobsvc.jobs.states import FINISHED, State


class States(click.ParamType[str]):
    """States, with commas between."""

    name = "states"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        unknown = [name for name in value.split(",") if name not in set(State)]
        if unknown:
            self.fail(f"{unknown[0]!r} is not one of {', '.join(map(repr, map(str, State)))}.", param, ctx)
        return value


STATES = States()

PAUSE_SECONDS = 1.0
"""Between two looks for new lines."""


@command("list")
@click.option("--state", type=STATES, metavar="STATE,…", help="Only jobs in this state, or in one of these.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--user", help="Only jobs of this user.")
@click.option("--text", help="Only jobs with this text in the id or the file's name.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", default=100, show_default=True, help="How many jobs at most."
)
@talks
def list_jobs(api: Api, output: Output, limit: int, **named: str | None) -> None:
    """List jobs, the newest first.

    Their priorities are a column where one is not normal.
    """
    jobs, after = api.jobs(limit, named)
    if not jobs and named["kind"] is not None:
        # Of a kind that there is not, the service finds no jobs either.
        api.get(kind_path(named["kind"]), has="name")
    if output.as_json:
        output.json({"jobs": jobs, "next": after})
        return
    # Most people use none: a column that always says the same would be in their way.
    priorities = any(job["priority"] != Priority.NORMAL.word for job in jobs)
    columns = ("id", "state", "percent", "done", "refused", "created", *(["priority"] if priorities else []), "file")
    output.table(columns, (_row(job, priorities=priorities) for job in jobs))
    if not jobs:
        given = " ".join(f"--{name} {value}" for name, value in named.items() if value)
        output.note(f"There is no job with {given}." if given else "There is no job yet: jobsvc upload FILE.")
    if after is not None:
        output.note(
            f"There are more than these {len(jobs):,}: --limit, or narrow it by --state, --kind, --user and --text."
        )


def _row(job: dict[str, Any], *, priorities: bool) -> tuple[Any, ...]:
    progress = job["progress"]
    return (
        job["id"],
        job["state"],
        progress["percent"],
        progress["done"],
        progress["failed"],
        job["created_at"][:16].replace("T", " "),
        *([job["priority"]] if priorities else []),
        job["filename"],
    )


@command()
@click.argument("job_id", metavar="ID")
@talks
def show(api: Api, output: Output, job_id: str) -> None:
    """Show a job: its state, how far it is, what went wrong."""
    job = api.job(job_id)
    if output.as_json:
        output.json(job)
        return
    progress, rollback, items = job["progress"], job["rollback"], api.items(job["kind"])
    fields = {
        **{name: job[name] for name in ("id", "kind", "state", "user", "priority")},
        "created": job["created_at"],
        "started": job["started_at"],
        "finished": job["finished_at"],
        "done": items_of(progress["done"], items, output.number(progress["done"])),
        "refused": progress["failed"],
        "blank": progress["blank"],
        "percent": progress["percent"],
        "a second": progress["rate"],
        "time left": None if progress["eta_seconds"] is None else duration(progress["eta_seconds"]),
        "file": job["filename"],
        "parameters": job["params"],
        "callback": job["callback_url"],
        "error": job["error"],
        "attempt": job["attempt"],
        "rolled back": f"{rollback['percent']} %" if rollback and not job["rolled_back"] else job["rolled_back"],
    }
    kin = {"made of the dry run": job.get("applied_from"), "applied as": job.get("applied_as")}
    fields |= {name: value for name, value in kin.items() if value}
    output.fields([*fields.items(), *(("warning", text) for text in job["warnings"])])


@command()
@click.argument("job_id", metavar="ID")
@talks
def events(api: Api, output: Output, job_id: str) -> None:
    """Show a job's history: who changed its state, when and why."""
    found = api.get(job_path(job_id, "events"), has="events")
    if output.as_json:
        output.json(found)
        return
    columns = ("at", "from", "to", "who", "why")
    output.table(columns, ([event[name] for name in columns] for event in found["events"]))


@command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Go on with new lines until the job has ended. Ctrl-C ends the following.")
@talks
def log(api: Api, output: Output, job_id: str, follow: bool) -> None:
    """Show what a job's runs and its kind have said, the oldest first; its newest thousand lines are kept.

    A line has its time, attempt and level, and the item that it is about. With --json,
    each line is an object.
    """
    try:
        _print_log(api, output, job_id, follow)
    except KeyboardInterrupt:
        if not follow:
            raise
        raise Ended(Exit.INTERRUPTED, f"No longer following: job {job_id} goes on.") from None


def _print_log(api: Api, output: Output, job_id: str, follow: bool) -> None:
    after = 0
    while True:
        # Asked before its lines: a job that has ended then says nothing more.
        ended = not follow or api.job(job_id)["state"] in FINISHED
        for line in _log_lines(api, job_id, after):
            after = line["line"]
            if output.as_json:
                output.json(line)
            else:
                click.echo(_log_line(line))
        if ended:
            return
        sleep(PAUSE_SECONDS)


def _log_lines(api: Api, job_id: str, after: int) -> Iterator[dict[str, Any]]:
    """The lines after the one with that number, page by page."""
    page = str(after) if after else None
    while True:
        found = api.get(job_path(job_id, "log"), {"limit": MAX_PAGE, "after": page}, has="lines")
        yield from found["lines"]
        page = found["next"]
        if page is None:
            return


def _log_line(line: dict[str, Any]) -> str:
    item = "" if line["item"] is None else f"item {line['item']}: "
    return f"{line['at'] or '-'} {line['attempt']} {line['level']:<7} {item}{printable(line['text'])}"


@command()
@click.argument("name", required=False)
@talks
def kinds(api: Api, output: Output, name: str | None) -> None:
    """List the kinds of job, or show what one of them can be told with -p."""
    found = api.get("/kinds", has="kinds") if name is None else api.get(kind_path(name), has="params")
    if output.as_json:
        output.json(found)
    elif name is None:
        columns = ("name", "takes a file", "can roll back", "description")
        output.table(
            columns,
            ((kind["name"], kind["takes_file"], kind["can_roll_back"], _first_line(kind)) for kind in found["kinds"]),
        )
    else:
        _show_params(output, found)


def _first_line(kind: dict[str, Any]) -> str:
    line: str = kind["description"].partition("\n")[0]
    return line


def _show_params(output: Output, kind: dict[str, Any]) -> None:
    if line := _first_line(kind):
        output.note(line)
    schema = kind["params"]
    required, properties = schema.get("required", []), schema.get("properties", {})
    output.table(
        ("parameter", "default", "meaning"),
        (
            (
                name,
                "must be given" if name in required else what.get("default"),
                shortened(what.get("description") or ""),
            )
            for name, what in properties.items()
        ),
    )
    if any(len(what.get("description") or "") > MAX_CELL for what in properties.values()):
        output.note(f"Where a meaning ends in …, --json has all of it: jobsvc kinds {kind['name']} --json")


@command()
@talks
def workers(api: Api, output: Output) -> None:
    """List the processes that run jobs, and what each runs."""
    found = api.get("/workers", has="workers")
    if output.as_json:
        output.json(found)
        return
    columns = ("name", "alive", "pid", "slots", "last heartbeat", "running")
    output.table(
        columns,
        (
            (
                worker["name"],
                worker["alive"],
                worker["pid"],
                worker["concurrency"],
                worker["last_heartbeat"],
                [job["id"] for job in worker["running"]],
            )
            for worker in found["workers"]
        ),
    )
