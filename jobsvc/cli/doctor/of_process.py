"""The process: does one run the jobs, and does it answer where it should?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.cli.client.address import Address, Source
from jobsvc.cli.client.api import Api, Unreachable
from jobsvc.cli.client.exits import Ended
from jobsvc.cli.doctor.finding import Finding, Mark, good, note, wrong
from jobsvc.cli.doctor.of_place import is_empty
from jobsvc.settings import EngineName, Settings
from jobsvc.store.database import is_postgresql
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.locks.directory_lock import holder_of
from jobsvc.store.locks.flock import Holder
from jobsvc.store.locks.process_lock import ProcessLock

LOCK = "lock"
SERVICE = "service"

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1", "": "127.0.0.1"}  # noqa: S104 (it is read, not used)


def process(settings: Settings, named: Named | None, key: str | None) -> list[Finding]:
    """Takes no lock itself: a service that starts at this moment must find it free.

    `named` is the service that the command line, or the environment, names beside the settings' own.
    """
    here = _Here(settings, None, holder_is_known=False)
    told: list[Finding] = []
    if settings.engine is not EngineName.FLEET:
        # The fleet's processes share the lock.
        try:
            holder = _holder(settings)
        except DatabaseDown as error:
            return [wrong(LOCK, f"who runs the jobs can't be told: {error}", "see what is said of the database")]
        here = _Here(settings, holder, holder_is_known=True)
        if holder is None:
            told = [note(LOCK, "no process runs the jobs: make, or jobsvc serve")]
        else:
            told = [good(LOCK, f"{holder} runs the jobs")]
    if named is None or _same(named.address) == _same(here.address):
        return [*told, here.at_its_own_address(key)]
    there, own = here.at(named), here.at_its_own_address(key)
    if there.mark is Mark.GOOD and own.mark is Mark.WRONG and here.is_silent:
        own = note(SERVICE, f"nothing listens at {here.address}, but the service does at {named.address}")
    return [*told, own, there]


@dataclass(frozen=True)
class Named:
    """A service that is named, and the key for it."""

    address: Address
    key: str | None


class _Here:
    """The service of this directory, which may answer at one address or another, or not at all."""

    def __init__(self, settings: Settings, holder: Holder | str | None, *, holder_is_known: bool) -> None:
        self._settings, self._holder, self._holder_is_known = settings, holder, holder_is_known
        host = EVERYWHERE.get(settings.host, settings.host).strip("[]")
        url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
        self.address = Address.of(url, Source.SETTINGS)
        self.is_silent = False
        """Whether nothing was found at its own address."""

    def at_its_own_address(self, key: str | None) -> Finding:
        """Whether it answers where its settings say."""
        url = self.address.url
        try:
            return self._judged(self.address, key)
        except Unreachable as error:
            self.is_silent = error.status is None
            if error.status is None and not self._holder:
                return note(SERVICE, f"nothing listens at {url}")
            if error.status is None:
                told = f"{self._holder} runs the jobs, but nothing answers at {url}"
                return wrong(SERVICE, told, "does it listen elsewhere (HOST, PORT, gunicorn's --bind)? See its log")
            of_ours = self._holder is not None or not self._holder_is_known
            mend = "see the log of the service" if of_ours else "another program has the port: set PORT"
            return wrong(SERVICE, error.message, mend)
        except Ended as error:
            if error.status in (401, 403):
                return note(SERVICE, f"{url} answers, but says no more without a key that it knows: --key")
            return wrong(SERVICE, f"{url}: {error.message}", "see the log of the service")

    def at(self, named: Named) -> Finding:
        """What is at the address that somebody has named."""
        try:
            return self._judged(named.address, named.key)
        except Ended as error:
            return wrong(SERVICE, error.message, error.hint or f"is {named.address} right?")

    def _judged(self, address: Address, key: str | None) -> Finding:
        """What to say of a service that answers. Raises Ended."""
        api = Api(address, key)
        try:
            version = api.get("/healthz", has="status").get("version", "of another version")
            api.get("/readyz", has="status")
            told = f"{address.url} answers, is ready, and is jobsvc {version}"
            if not self._holder_is_known:
                return good(SERVICE, told)
            runs_here = self._is_one_of(api.get("/workers", has="workers")["workers"])
        finally:
            api.close()
        if runs_here:
            return good(SERVICE, told)
        data = self._settings.data_dir.absolute()
        elsewhere = "run jobsvc doctor where that one runs: in its directory, with its settings"
        if is_empty(self._settings):
            return wrong(SERVICE, f"there is no database in {data}; a service answers at {address.url}", elsewhere)
        told = f"a service answers at {address.url}, and it is not one of {data}"
        if address == self.address:
            return wrong(SERVICE, told, "set JOBSVC_DATA_DIR as that one has it, or another PORT")
        return note(SERVICE, f"{told}: of that one nothing is told here; {elsewhere}")

    def _is_one_of(self, workers: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the process that runs the jobs here is among those of the service that answers."""
        if not isinstance(self._holder, Holder):
            # PostgreSQL names the session, and not the process.
            return self._holder is not None
        return self._holder.pid in {worker.get("pid") for worker in workers}


def _same(address: Address) -> str:
    return address.url.replace("//localhost", "//127.0.0.1")


def _holder(settings: Settings) -> Holder | str | None:
    if is_postgresql(settings.url):
        return ProcessLock(settings.url).holder()
    return holder_of(settings.data_dir)
