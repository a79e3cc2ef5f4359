"""The run loop: what one run of a job does, from its claim to where it stops."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial
from threading import Lock
from time import monotonic

from sqlalchemy import Connection

from jobsvc.files.contract import Files
from jobsvc.files.output_size import OutputSize
from jobsvc.identifiers import EntryId, JobKey, Priority
from jobsvc.jobs import obedience
from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import HOOKS, STOPPING, WITHOUT_OUTPUT, State
from jobsvc.kinds.contract import JobContext, JobFailed, JobInfo, Kind, Work
from jobsvc.kinds.csv.format import DEFAULT_MAX_ROW_BYTES
from jobsvc.logs.about import about
from jobsvc.logs.private import PRIVATE
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.checkpoints.writer import PART_ITEMS, CheckpointWriter
from jobsvc.runs.claims import RunClaims
from jobsvc.runs.ending import AttemptLost, break_off, ended_by_run, fail
from jobsvc.runs.hooks import has_hook, job_info, log_fields, span_fields, tell
from jobsvc.runs.recording import until_recorded
from jobsvc.runs.recovery import interrupt
from jobsvc.runs.sampling.progress import ProgressMeter
from jobsvc.runs.sharing.processor_turns import ProcessorTurns
from jobsvc.runs.sharing.user_slots import UserSlots
from jobsvc.runs.signals import Signals
from jobsvc.store.database import Database
from jobsvc.store.disk.room import FULL, Room
from jobsvc.store.errors import DatabaseDown, DiskFull, FilesDown, IdleTooLong, NoRoom
from jobsvc.store.queries import job_rows
from jobsvc.traces.spans import span

log = logging.getLogger(__name__)

BATCH_ITEMS = 4000
"""About how many quick items are committed together."""

BATCHES_ALONE, PARTS_ALONE = 2, 4
"""How many times as large batches, and their parts, are while there is no other run: fewer people wait for them, and
each statement is a wait for the interpreter."""

FEW_ITEMS = 100
"""So many items of a batch that has had no effect are committed by a run that stops: somebody waits."""

GIVE_WAY_SECONDS = 0.01
"""How long a run gives way at most before each piece that it reads."""

LOOK_SECONDS = 0.003
"""How long a run that gives way waits until it looks again whether it may go on."""


class Runner:
    """Claims queued jobs (see `RunClaims`) and runs them. Safe to share among threads."""

    def __init__(
        self,
        database: Database,
        files: Files,
        kinds: Mapping[str, Kind],
        now: Callable[[], datetime],
        room: Room | None = None,
        *,
        max_crashes: int = 5,
        max_row_bytes: int = DEFAULT_MAX_ROW_BYTES,
        user_max_running: int = 0,
    ) -> None:
        """A run stops at its next checkpoint when the disks are short of `room`."""
        self._room = room or Room()
        self._max_crashes = max_crashes
        self._database = database
        self._files = files
        self._kinds = kinds
        self._now = now
        self._max_row_bytes = max_row_bytes
        self.users = UserSlots(database, user_max_running)
        self._claims = RunClaims(database, now, self.users)
        self.when_cleared: Callable[[], None] = lambda: None
        """Called when a run that others had to wait for has come to a checkpoint; to be set before the first run."""
        self.when_overtaken: Callable[[], None] = lambda: None
        """Called when jobs with a high priority may wait for a slot that nobody has asked for; to be set as that."""

        self.others_first_for: Callable[[], float] = lambda: 0.0
        """For how many seconds others are to have the processor, unless they are done before; to be set as that."""
        self._turns = ProcessorTurns()
        self._counting = Lock()
        """Guards the writing of `_under_way`: how many runs there are. Any thread reads it."""
        self._under_way = 0

    def claim(self) -> Job | None:
        """See `RunClaims`."""
        job = self._claims.claim()
        if job is not None and job.priority is Priority.HIGH and self.users.is_limited:
            # It may have waited for its user's place, and now have a slot that another high one was to get.
            self.when_overtaken()
        return job

    def due_in(self) -> float | None:
        """See `RunClaims`."""
        return self._claims.due_in()

    def claim_entry(self, key: JobKey, entry: EntryId, put_back: Callable[[Connection, Job], None]) -> Job | None:
        """See `RunClaims`."""
        return self._claims.claim_entry(key, entry, put_back)

    def run(self, job: Job, signals: Signals) -> State | None:
        """Run a claimed job until it is done or told to stop.

        Returns the state that the run left the job in; None if the job was taken
        from it, in which case it left no effect.
        """
        with (
            span(f"run {job.kind}", span_fields(job)) as told,
            about(**log_fields(job), **told.fields),
            self._counted(),
        ):
            state = self._run(job, signals)
            told.note({"jobsvc.job.state": state})
            if state is State.FAILED:
                told.fail(state)
            return state

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._under_way += 1
        try:
            yield
        finally:
            with self._counting:
                self._under_way -= 1

    def _run(self, job: Job, signals: Signals) -> State | None:
        log.info("the run begins: %d items done so far", job.done + job.failed)
        said = RunLog(job.attempt, self._now)
        try:
            state = self._to_its_end(job, signals, said)
        except AttemptLost:
            state = self._ended_unheard(job)
        log.info("the run ends: %s", "taken over or settled elsewhere" if state is None else state)
        ended_at = self._now()
        self._clear_files(job, state)
        obedience.note(self._database, job, state, ended_at)
        if state is not None and has_hook(self._kinds, job, state):
            try:
                tell(self._kinds, self._reread(job), state)
            except DatabaseDown:
                log.warning("%s was not called, since the database went away", HOOKS[state])
        return state

    def _to_its_end(self, job: Job, signals: Signals, said: RunLog) -> State | None:
        """What `run` returns; raises AttemptLost if the job has moved on."""
        if job.state in STOPPING:
            # It was asked when nobody could be told: the claim's answer was lost, and the claim was found again.
            signals.stop.set()
        try:
            state: State | None = State.RUNNING
            while state is State.RUNNING:
                try:
                    state = self._work(job, signals, said)
                except NoRoom as error:
                    state = self._make_way(job, error, signals, said)
                except FilesDown as error:
                    state = self._give_way(job, error, signals, said)
                if state is State.RUNNING:
                    again = self._reread(job)
                    if again.attempt != job.attempt:
                        raise AttemptLost
                    job = again
            return state
        except AttemptLost:
            raise
        except DiskFull as error:
            return self._make_way(job, error, signals, said)
        except DatabaseDown as error:
            log.warning("the run has lost the database: %s", error)
            kind = self._kinds.get(job.kind)
            # What a run brings about again and again is no outage.
            limit = self._max_crashes if isinstance(error, IdleTooLong) else None
            return until_recorded(
                lambda: interrupt(self._database, kind, job, self._now, said, max_idle=limit),
                signals,
                said.leave_out,
            )
        except BaseException as error:
            # Also a SystemExit: it is the kind's, and concerns its job alone.
            return self._record_failure(job, error, signals, said)

    def _ended_unheard(self, job: Job) -> State | None:
        """Where the run has taken its job if it was that after all, in a transaction whose answer was lost."""
        try:
            with self._database.read() as connection:
                return ended_by_run(connection, job)
        except DatabaseDown:
            return None

    def _work(self, job: Job, signals: Signals, said: RunLog) -> State:
        """From the cursor on. Returns `running` if the run was stopped, but nobody wants it stopped any more."""
        kind = self._kind(job)
        place = self._place(job)
        info = job_info(kind, job)
        # A first run that never came to a checkpoint counts for nothing: its on_start may not have ended.
        if place.cursor is None:
            kind.on_start(info)
        else:
            kind.on_resume(info)
        output = OutputSize(partial(self._files.open_output, job.id, job.attempt, stopped=signals.stop))
        with kind.open(self._context(job, info, place, signals, said, output)) as work:
            meter = ProgressMeter(monotonic, job.position, work.size)
            writer = CheckpointWriter(
                kind,
                job,
                work,
                meter,
                self._now,
                said,
                output_bytes=output.read,
                has_header=place.columns is not None,
                most_refused=info.params.most_refused,
                part_items=self._part_items,
            )
            checkpoints = Checkpoints(self._database, writer, self.when_cleared)
            try:
                return self._take_all(job, work, signals, checkpoints)
            finally:
                checkpoints.abandon()

    def _take_all(self, job: Job, work: Work, signals: Signals, checkpoints: Checkpoints) -> State:
        """Take and commit batch after batch. Where the work `reads_ahead`, one is taken while the one before is
        committed."""
        # Of a job that has crashed, the cursor is to stand as near as can be before the row that ends the process.
        ahead = work.reads_ahead and not work.acts_at_once() and job.crashes <= 1
        # What has files to bring to the disk does that between two checkpoints.
        hands_on = ahead and type(work).flush is Work.flush

        def leaving() -> bool:
            return signals.leaving

        for batch in work.batches():
            with signals.items_under_way() if work.acts_at_once() else nullcontext():
                items, stopped = work.take(batch, signals.stop.is_set)
            if ahead:
                if hands_on and not stopped:
                    checkpoints.begin_after(batch, items, leaving=leaving, urgent=signals.stop.is_set)
                if (state := self._settled(checkpoints)) is not State.RUNNING:
                    return state
                if checkpoints.goes_on():
                    continue
                # It may have been told to stop while it waited: nothing of these has had an effect.
                stopped = stopped or signals.stop.is_set()
            work.flush()
            if stopped:
                # Waits until what is asked is written. A run that was not stopped does not wait: if something
                # is written in time, the checkpoint obeys it all the same.
                signals.acknowledge()
            commit = checkpoints.begin if ahead and not stopped else checkpoints.commit
            state = commit(
                batch,
                # Of items that had no effect yet, few: somebody waits.
                items[:FEW_ITEMS] if stopped and not work.acts_at_once() else items,
                leaving=leaving,
                urgent=(lambda: True) if stopped else signals.stop.is_set,
            )
            if work.failure is not None:
                raise work.failure
            if stopped or state is not State.RUNNING:
                return state
            if not ahead:
                self._check_room()
        if ahead and (state := self._settled(checkpoints)) is not State.RUNNING:
            return state
        work.finish()
        return checkpoints.end()

    def _settled(self, checkpoints: Checkpoints) -> State:
        """Where the job is once what was begun is committed. Raises NoRoom."""
        state = checkpoints.settle()
        if state is State.RUNNING:
            self._check_room()
        return state

    def _check_room(self) -> None:
        """Raises NoRoom if the disks are short of it."""
        if (shortage := self._room.shortage()) is not None:
            raise NoRoom(shortage)

    def _give_way(self, job: Job, error: FilesDown, signals: Signals, said: RunLog) -> State | None:
        """The store of the files is away: the job stops at its checkpoint as it was asked to, or fails if it was not.

        Returns `running` if the run was stopped while it waited for the store, but nobody wants it stopped any more.
        """
        stopped = signals.stop.is_set()
        if stopped:
            signals.acknowledge()
        log.warning("the run stops, since the store of the files is away: %s", error)
        kind, why = self._kinds.get(job.kind), None if stopped else str(error)
        return until_recorded(
            lambda: break_off(self._database, kind, job, why, self._now, said, leaving=signals.leaving),
            signals,
            said.leave_out,
        )

    def _make_way(self, job: Job, error: DiskFull | NoRoom, signals: Signals, said: RunLog) -> State | None:
        """There is no room: the job stops at its checkpoint, and is queued, to go on when there is some."""
        log.warning("the run stops, since there is no room: %s", error)
        if self._room.shortage() is None:
            # The disk looks as if there were some: it is a quota, or somebody has just removed something.
            self._room.note_full(urgent=False)
        if signals.stop.is_set():
            signals.acknowledge()
        kind = self._kinds.get(job.kind)
        ended = f"{FULL if isinstance(error, DiskFull) else error}; the run stopped at its checkpoint"
        again = "it goes on when there is room"
        return until_recorded(
            lambda: interrupt(self._database, kind, job, self._now, said, ended=ended, again=again),
            signals,
            said.leave_out,
        )

    def _clear_files(self, job: Job, state: State | None) -> None:
        """Remove what the job has made and nobody can use any more."""
        if state is State.SUCCEEDED:
            try:
                self._files.tidy_output(job.id, job.attempt)
            except (FilesDown, OSError) as error:
                log.warning("files that are of no use any more stay until the job is forgotten: %s", error)
        # A run that has lost its job may have made a file after those of the job were removed.
        elif state is State.TERMINATED or (state is None and self._has_no_files(job)):
            self._files.discard_output(job.id)

    def _has_no_files(self, job: Job) -> bool:
        try:
            return self._reread(job).state in WITHOUT_OUTPUT
        except DatabaseDown:
            # The next start removes what belongs to no job, or is left of one that was terminated.
            return False

    def _record_failure(self, job: Job, error: BaseException, signals: Signals, said: RunLog) -> State | None:
        text = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
        kind = self._kinds.get(job.kind)
        try:
            return until_recorded(
                lambda: fail(self._database, kind, job, text, self._now, said), signals, said.leave_out
            )
        finally:
            if not isinstance(error, JobFailed):
                log.error("the job failed: %s", type(error).__name__, exc_info=error, extra=PRIVATE)

    def _reread(self, job: Job) -> Job:
        with self._database.look() as connection:
            return Job.from_row(job_rows.by_key(connection, job.key))

    def _place(self, job: Job) -> Place:
        with self._database.look() as connection:
            place = Place.from_row(job_rows.place(connection, job.key))
        if job.unreadable or place.unreadable:
            raise JobFailed(job.unreadable or place.unreadable)
        return place

    def _kind(self, job: Job) -> Kind:
        try:
            return self._kinds[job.kind]
        except KeyError:
            raise JobFailed(f"there is no kind {job.kind!r} any more; is it missing in JOBSVC_KINDS?") from None

    def _batch_items(self, signals: Signals) -> int:
        """Asked before each piece of a batch is read: gives way to others, for a moment however many there are."""
        until = monotonic() + GIVE_WAY_SECONDS
        while (seconds := min(self.others_first_for(), until - monotonic())) > 0:
            if signals.stop.wait(min(seconds, LOOK_SECONDS)):
                break
        return 1 if signals.stop.is_set() else BATCH_ITEMS * (BATCHES_ALONE if self._is_alone() else 1)

    def _part_items(self) -> int:
        return PART_ITEMS * (PARTS_ALONE if self._is_alone() else 1)

    def _is_alone(self) -> bool:
        """Whether there is no other run."""
        return self._under_way == 1

    def _context(
        self, job: Job, info: JobInfo, place: Place, signals: Signals, said: RunLog, output: OutputSize
    ) -> JobContext:
        return JobContext(
            key=job.key,
            id=job.id,
            params=info.params,
            created_at=job.created_at,
            cursor=place.cursor,
            columns=place.columns,
            attempt=job.attempt,
            open_input=partial(self._files.open_input, job.input_id, stopped=signals.stop),
            open_output=output.open,
            read=self._database.read,
            stopped=signals.stop,
            batch_items=partial(self._batch_items, signals),
            turn=partial(self._turns.turn, signals.stop),
            max_row_bytes=self._max_row_bytes,
            log=said,
            owner=job.scope,
            uploaded_at=job.uploaded_at,
        )
