"""Settings are told with where they come from, and no secret among them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from jobsvc.service.monitoring.told_settings import DEFAULT, PROGRAM, SET, ToldSetting, told_settings
from jobsvc.settings import VARIABLES, Given, Settings, given_texts

SECRET = "whsec_" + b64encode(b"s" * 24).decode()
GIVEN = {
    "PORT": "9000",
    "JOBSVC_KINDS": "my.kinds:Mine, my.kinds:Other",
    "JOBSVC_PARK_AFTER": "0.5",
    "JOBSVC_LOG_LEVEL": "",
    "DATABASE_URL": "postgresql://ann:hush@db.example/jobs?sslpassword=hush",
    "JOBSVC_WEBHOOK_SECRET": SECRET,
    "JOBSVC_API_KEYS": "ada:hushhushhushhush:admin",
    "JOBSVC_TRUSTED_PROXIES": "10.0.0.5,10.1.0.0/16",
}


def told(environ: dict[str, str], dotenv: Path | None = None, **more: object) -> dict[str, ToldSetting]:
    settings = Settings(**more) if more else Settings.load(environ, dotenv)  # type: ignore[arg-type]
    found = told_settings(settings, given_texts(environ, dotenv))
    assert [each.name for each in found] == [variable.name for variable in VARIABLES]
    return {each.name: each for each in found}


def test_what_is_in_effect_is_told_with_where_it_comes_from(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=7000\nJOBSVC_MAX_RUNNING=3\n")
    found = told(GIVEN, dotenv)
    assert found["PORT"] == ToldSetting("PORT", "9000", "environment")
    assert found["JOBSVC_MAX_RUNNING"] == ToldSetting("JOBSVC_MAX_RUNNING", "3", str(dotenv))
    assert found["JOBSVC_PARK_AFTER"].value == "0.5"
    assert found["JOBSVC_KINDS"].value == "my.kinds:Mine,my.kinds:Other"
    assert found["JOBSVC_TRUSTED_PROXIES"].value == "10.0.0.5/32,10.1.0.0/16"
    assert found["JOBSVC_LOG_LEVEL"] == ToldSetting("JOBSVC_LOG_LEVEL", "info", DEFAULT)
    assert found["JOBSVC_ALLOW_ANONYMOUS"] == ToldSetting("JOBSVC_ALLOW_ANONYMOUS", "0", DEFAULT)
    assert found["JOBSVC_FILES_URL"] == ToldSetting("JOBSVC_FILES_URL", None, DEFAULT)


def test_no_secret_is_told() -> None:
    found = told(GIVEN)
    assert found["JOBSVC_WEBHOOK_SECRET"].value == found["JOBSVC_API_KEYS"].value == SET
    assert found["DATABASE_URL"].value == "postgresql://…@db.example/jobs?sslpassword=…"
    assert not any("hush" in str(each) or SECRET in str(each) for each in found.values())
    assert told({})["JOBSVC_API_KEYS"].value is None


def test_every_setting_whose_name_tells_of_a_secret_is_one() -> None:
    secrets = {variable.name for variable in VARIABLES if variable.is_secret}
    assert secrets == {name for variable in VARIABLES if "SECRET" in (name := variable.name) or "KEYS" in name}


def test_what_the_program_has_set_is_not_told_as_the_environments() -> None:
    environ = {"PORT": "9000", "HOST": "not usable"}
    assert told(environ, port=9001)["PORT"] == ToldSetting("PORT", "9001", PROGRAM)
    assert told_settings(Settings(), {"PORT": Given("none", ".env")})[1] == ToldSetting("PORT", "8081", DEFAULT)
