"""Settings: their values as they are read, where each comes from, and which can't be used."""

from __future__ import annotations

from jobsvc.cli.doctor.finding import Finding, good, wrong
from jobsvc.kinds.registry import KindError, load_kinds
from jobsvc.process.listening import check_listen
from jobsvc.service.monitoring.told_settings import as_text
from jobsvc.settings import VARIABLES, SettingError, Settings, Variable, given_texts

SUBJECT = "settings"

MEND = "set it right in the environment or in .env, or leave it out for its default"


def settings() -> tuple[list[Finding], Settings | None]:
    """What was found, and the settings if they can be used."""
    found = [_one(variable) for variable in VARIABLES]
    try:
        loaded = Settings.load()
    except SettingError as error:
        told = str(error)
        known = any(finding.told == told for finding in found)
        return [*found, *([] if known else [wrong(SUBJECT, told, MEND)])], None
    try:
        check_listen(loaded, loaded.host)
    except SettingError as error:
        found.append(wrong(SUBJECT, str(error), "set HOST=127.0.0.1 or JOBSVC_ALLOW_ANONYMOUS=1"))
    return [*found, _kinds(loaded)], loaded


def _one(variable: Variable) -> Finding:
    given = given_texts().get(variable.name)
    text = given.text.strip() if given is not None else ""
    if given is None or not text:
        default = as_text(getattr(Settings(), variable.field)) or "-"
        return good(SUBJECT, f"{variable.name}: {default} (default)")
    try:
        variable.read(text)
    except SettingError as error:
        return wrong(SUBJECT, str(error), f"it is set in {given.where}: {MEND}")
    return good(SUBJECT, f"{variable.name}: {variable.shown(text)} ({given.where})")


def _kinds(loaded: Settings) -> Finding:
    try:
        kinds = load_kinds(loaded.kinds)
    except KindError as error:
        return wrong(SUBJECT, str(error), "install what it needs, or set JOBSVC_KINDS right")
    return good(SUBJECT, f"kinds: {', '.join(sorted(kinds))}")
