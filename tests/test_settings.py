"""Settings: what is read, from where, and what is refused."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jobsvc import settings
from jobsvc.files.open_files import open_files
from jobsvc.settings import VARIABLES, EngineName, LogFormat, LogLevel, Recover, SettingError, Settings
from tests.support.processes import ROOT

EXAMPLE = ROOT / ".env.example"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def load(dotenv: Path | None = None, /, **environ: str) -> Settings:
    return Settings.load(environ, dotenv)


def test_without_any_setting_the_defaults_hold() -> None:
    assert load() == Settings()
    assert Settings().url == "sqlite:///var/jobsvc.db"


def test_every_setting_is_read_from_its_variable() -> None:
    found = load(
        HOST="localhost",
        PORT="9000",
        JOBSVC_DATA_DIR="/tmp/x",
        DATABASE_URL="sqlite:////tmp/y/other.db",
        JOBSVC_ENGINE="threads",
        JOBSVC_MAX_RUNNING="3",
        JOBSVC_MAX_QUEUED="4",
        JOBSVC_PARK_AFTER="0.5",
        JOBSVC_PAUSED_THREADS="7",
        JOBSVC_SHUTDOWN_TIMEOUT="7",
        JOBSVC_METRICS_PORT="9101",
        JOBSVC_RECOVER="manual",
        JOBSVC_MAX_CRASHES="3",
        JOBSVC_MAX_UPLOAD_BYTES="1000",
        JOBSVC_MIN_FREE_BYTES="0",
        JOBSVC_MAX_ROW_BYTES="2000",
        JOBSVC_KINDS="acme.jobs:Greet, acme.jobs:Part",
        JOBSVC_IDEMPOTENCY_HOURS="0.5",
        JOBSVC_KEEP_FINISHED_DAYS="30",
        JOBSVC_KEEP_FILES_DAYS="1.5",
        JOBSVC_WEBHOOK_SECRET=SECRET,
        JOBSVC_WEBHOOK_ALLOW_PRIVATE="1",
        JOBSVC_ALLOW_ANONYMOUS="1",
        JOBSVC_LOG_FORMAT="json",
        JOBSVC_LOG_LEVEL="debug",
    )
    assert found == Settings(
        host="localhost",
        port=9000,
        data_dir=Path("/tmp/x"),
        database_url="sqlite:////tmp/y/other.db",
        engine=EngineName.THREADS,
        max_running=3,
        max_queued=4,
        park_after=0.5,
        paused_threads=7,
        shutdown_timeout=7.0,
        metrics_port=9101,
        recover=Recover.MANUAL,
        max_crashes=3,
        max_upload_bytes=1000,
        min_free_bytes=0,
        max_row_bytes=2000,
        kinds=("acme.jobs:Greet", "acme.jobs:Part"),
        idempotency_hours=0.5,
        keep_finished_days=30.0,
        keep_files_days=1.5,
        webhook_secret=SECRET,
        webhook_allow_private=True,
        allow_anonymous=True,
        log_format=LogFormat.JSON,
        log_level=LogLevel.DEBUG,
    )
    assert found.url == "sqlite:////tmp/y/other.db"


def test_every_field_has_one_variable() -> None:
    assert sorted(variable.field for variable in VARIABLES) == sorted(field.name for field in fields(Settings))


@pytest.mark.parametrize(
    ("text", "flag"),
    [("1", True), ("true", True), ("Yes", True), ("ON", True), ("0", False), ("False", False), ("no", False)],
)
def test_a_flag_may_be_written_in_the_usual_ways(text: str, flag: bool) -> None:
    assert load(JOBSVC_ALLOW_ANONYMOUS=text).allow_anonymous is flag


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_value_counts_as_not_set(text: str) -> None:
    assert load(**{variable.name: text for variable in VARIABLES}) == Settings()


def test_space_around_a_value_does_not_matter() -> None:
    assert load(PORT=" 9000 ").port == 9000


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("JOBSVC_MAX_ROW_BYTES", "0", "a whole number of bytes from 1 to 16777216"),
        ("JOBSVC_MAX_ROW_BYTES", "16777217", "a whole number of bytes from 1 to 16777216"),
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("DATABASE_URL", "var/jobsvc.db", "sqlite:///"),
        ("DATABASE_URL", "mysql://localhost/x", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///file:jobsvc.db?uri=true", "sqlite:///path/to/file"),
        ("DATABASE_URL", "sqlite:///file:/var/jobsvc.db?vfs=unix-none&uri=1", "sqlite:///path/to/file"),
        ("DATABASE_URL", "sqlite:///var/jobsvc.db?uri=true", "sqlite:///path/to/file"),
        ("JOBSVC_FILES_URL", "/var/files", "file:///absolute/path, s3://bucket"),
        ("JOBSVC_FILES_URL", "file://var/files", "file:///absolute/path"),
        ("JOBSVC_FILES_URL", "file:///", "file:///absolute/path"),
        ("JOBSVC_FILES_URL", "file:///a/../b", "file:///absolute/path"),
        ("JOBSVC_FILES_URL", "gs://bucket", "s3://bucket"),
        ("JOBSVC_FILES_URL", "memory://bucket", "s3://bucket"),
        ("JOBSVC_FILES_URL", "fake://bucket", "s3://bucket"),
        ("JOBSVC_FILES_URL", "s3://", "s3://bucket"),
        ("JOBSVC_FILES_URL", "s3://Bucket", "s3://bucket"),
        ("JOBSVC_FILES_URL", "s3://bucket//prefix", "s3://bucket/prefix"),
        ("JOBSVC_FILES_URL", "s3://bucket/a/./b", "s3://bucket/prefix"),
        ("JOBSVC_FILES_URL", "s3://bucket/a%20b", "s3://bucket/prefix"),
        ("JOBSVC_ENGINE", "celery", "threads"),
        ("JOBSVC_ENGINE", "Threads", "threads"),
        ("JOBSVC_MAX_RUNNING", "0", "a whole number of jobs, 1 or more"),
        ("JOBSVC_MAX_RUNNING", "2.5", "a whole number of jobs, 1 or more"),
        ("JOBSVC_MAX_QUEUED", "-1", "a whole number of jobs, 1 or more"),
        ("JOBSVC_PARK_AFTER", "-1", "a number of seconds"),
        ("JOBSVC_PARK_AFTER", "nan", "a number of seconds"),
        ("JOBSVC_PARK_AFTER", "inf", "a number of seconds"),
        ("JOBSVC_PARK_AFTER", "5m", "a number of seconds"),
        ("JOBSVC_PAUSED_THREADS", "-1", "a whole number of threads"),
        ("JOBSVC_PAUSED_THREADS", "1.5", "a whole number of threads"),
        ("JOBSVC_SHUTDOWN_TIMEOUT", "0", "a number of seconds from 3"),
        ("JOBSVC_SHUTDOWN_TIMEOUT", "inf", "a number of seconds from 3"),
        ("JOBSVC_RECOVER", "never", "auto or manual"),
        ("JOBSVC_MAX_CRASHES", "0", "a whole number of attempts, 1 or more"),
        ("JOBSVC_MAX_UPLOAD_BYTES", "0", "a whole number of bytes, 1 or more"),
        ("JOBSVC_MAX_UPLOAD_BYTES", "2GB", "a whole number of bytes, 1 or more"),
        ("JOBSVC_ALLOW_ANONYMOUS", "maybe", "0 or 1"),
        ("JOBSVC_KINDS", "acme.jobs", "package.module:Class"),
        ("JOBSVC_KINDS", "acme.jobs:Greet;acme.jobs:Part", "package.module:Class"),
        ("JOBSVC_IDEMPOTENCY_HOURS", "-1", "a number of hours from 0 to 10000"),
        ("JOBSVC_IDEMPOTENCY_HOURS", "nan", "a number of hours from 0 to 10000"),
        ("JOBSVC_KEEP_FINISHED_DAYS", "-1", "a number of days"),
        ("JOBSVC_KEEP_FILES_DAYS", "a week", "a number of days"),
        ("JOBSVC_WEBHOOK_ALLOW_PRIVATE", "maybe", "0 or 1"),
    ],
)
def test_a_value_that_can_not_be_used_is_refused_with_its_name_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingError) as refused:
        load(**{name: value})
    text = str(refused.value)
    assert text.startswith(f"{name}={value!r}")
    assert allowed in text.removeprefix(f"{name}={value!r}")


@pytest.mark.parametrize("secret", [SECRET.removeprefix("whsec_"), "whsec_c2hvcnQ=", "whsec_not base64", "whsec_"])
def test_a_webhook_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(SettingError, match=r"^JOBSVC_WEBHOOK_SECRET.* must be whsec_ and 24 to 64 bytes in base64$"):
        load(JOBSVC_WEBHOOK_SECRET=secret)


@pytest.mark.parametrize("name", ["JOBSVC_PARK_AFTER", "JOBSVC_SHUTDOWN_TIMEOUT"])
def test_more_seconds_than_a_thread_can_wait_for_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        load(**{name: "1e10"})


@pytest.mark.parametrize("name", ["JOBSVC_MAX_RUNING", "JOBSVC_", "JOBSVC_PORT"])
def test_a_name_that_only_looks_like_a_setting_is_refused_with_the_names_that_are(name: str) -> None:
    with pytest.raises(SettingError) as refused:
        load(**{name: "1"})
    text = str(refused.value)
    assert text.startswith(f"{name} is not a setting")
    assert all(variable.name in text for variable in VARIABLES)


def test_a_name_in_the_file_that_only_looks_like_a_setting_is_refused(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("JOBSVC_MAX_RUNING=1\n")
    with pytest.raises(SettingError, match="JOBSVC_MAX_RUNING"):
        load(dotenv)


def test_what_is_meant_for_others_is_left_alone() -> None:
    assert load(PATH="/bin", JOBS="x", jobsvc_port="y", GUNICORN_CMD_ARGS="--workers 1") == Settings()


def test_variables_of_the_client_are_no_settings_and_no_mistakes() -> None:
    assert load(JOBSVC_URL="http://127.0.0.1:9", JOBSVC_API_KEY="abc") == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text('# a comment\nPORT=9000\nexport JOBSVC_MAX_RUNNING="3"\nJOBSVC_MAX_QUEUED\n')
    found = load(dotenv, PORT="9001")
    assert (found.port, found.max_running, found.max_queued) == (9001, 3, Settings().max_queued)


def test_a_bad_value_in_the_file_is_refused_like_any_other(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=http\n")
    with pytest.raises(SettingError, match="PORT='http' can't be used"):
        load(dotenv)
    assert load(dotenv, PORT="9000").port == 9000


def test_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / ".env") == Settings()


def test_the_process_own_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSVC_MAX_RUNNING", "5")
    assert Settings.load(dotenv=None).max_running == 5


def test_the_example_file_states_the_defaults() -> None:
    assert load(EXAMPLE) == Settings()


def test_every_setting_is_in_the_example_file_below_a_comment() -> None:
    explained = {
        name
        for paragraph in EXAMPLE.read_text().split("\n\n")
        if paragraph.startswith("# ")
        for name in re.findall(r"^(\w+)=", paragraph, re.MULTILINE)
    }
    assert explained == {variable.name for variable in VARIABLES}


LOCAL = ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "unix:/run/jobsvc.sock"]


@pytest.mark.parametrize("host", LOCAL)
def test_listening_on_this_machine_only_is_fine(host: str) -> None:
    Settings().check_listen(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.168.1.5", "example.org", ""])
def test_listening_beyond_this_machine_is_refused_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(SettingError, match="JOBSVC_ALLOW_ANONYMOUS=1"):
        Settings().check_listen(host)
    Settings(allow_anonymous=True).check_listen(host)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("file:///mnt/shared%20files", "file:///mnt/shared%20files"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://my.bucket-1/some/prefix/", "s3://my.bucket-1/some/prefix"),
        ("", ""),
    ],
)
def test_a_url_of_the_files_is_a_folder_or_a_place_in_s3(url: str, found: str) -> None:
    assert load(JOBSVC_FILES_URL=url).files_url == found


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:sEcReT@bucket/prefix",
        "s3://AKIA:sE@cR/eT@bucket",
        "s3://bucket/prefix?secret=sEcReT",
        "s3://bucket#sEcReT",
        "AKIA:sEcReT@bucket",
    ],
)
def test_keys_in_a_url_of_the_files_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingError, match=r"JOBSVC_FILES_URL=.* can't be used: .*never here") as refused:
        load(JOBSVC_FILES_URL=url)
    assert not any(part in str(refused.value) for part in ("sEcReT", "sE@", "cR/", "eT@", "AKIA"))


def test_s3_without_its_client_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"JOBSVC_FILES_URL.* pip install -r requirements-s3.txt"):
        load(JOBSVC_FILES_URL="s3://bucket")
    assert load(JOBSVC_FILES_URL="file:///mnt/files").files_url


def test_a_folder_that_can_not_be_made_is_refused_with_the_setting_s_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"JOBSVC_FILES_URL=.* can't be used: .*[Nn]ot a directory"):
        open_files(load(JOBSVC_FILES_URL=f"file://{tmp_path}/file/files"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_postgresql_url_is_taken_with_the_driver_that_is_installed(scheme: str) -> None:
    found = load(DATABASE_URL=f"{scheme}://ann:p%40ss@db.example:5433/jobs?sslmode=require")
    assert found.url == "postgresql+psycopg://ann:p%40ss@db.example:5433/jobs?sslmode=require"


def test_a_postgresql_url_may_name_a_socket() -> None:
    assert load(DATABASE_URL="postgresql:///jobs?host=/run/pg").url == "postgresql+psycopg:///jobs?host=/run/pg"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:sEcReT@db.example:5433",
        "postgresql://ann:sEcReT@db.example:port/jobs",
        "postgresql:/ann:sEcReT@db.example/jobs",
        "postgresql+asyncpg://ann:sEcReT@db.example/jobs",
        "mysql://ann:sE@cR/eT@db.example/jobs",
        "ann:sEcReT@db.example/jobs",
        "postgresql:///?password=sEcReT",
        "mysql://db.example/jobs?user=ann&password=sEcReT&x=y",
    ],
)
def test_a_database_url_that_can_not_be_used_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SettingError, match=r"DATABASE_URL=.* can't be used: .*postgresql://") as refused:
        load(DATABASE_URL=url)
    assert not any(part in str(refused.value) for part in ("sEcReT", "sE@", "cR/", "eT@"))


def test_what_settings_print_of_themselves_holds_no_password() -> None:
    found = load(DATABASE_URL="postgresql://ann:sEcReT@db.example/jobs")
    assert "sEcReT" not in repr(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"JOBSVC_ENGINE": "fleet"}, "JOBSVC_ENGINE=fleet needs .* DATABASE_URL=postgresql://"),
        ({"JOBSVC_ENGINE": "fleet", "DATABASE_URL": "sqlite:///x.db"}, "JOBSVC_ENGINE=fleet needs"),
        ({"JOBSVC_ENGINE": "fleets"}, "JOBSVC_ENGINE='fleets' can't be used: it must be threads or fleet"),
        (
            {"JOBSVC_HEARTBEAT": "5"},
            "JOBSVC_STALLED_AFTER=7 can't be used: it must be at least twice JOBSVC_HEARTBEAT=5",
        ),
        ({"JOBSVC_SWEEP_EVERY": "7"}, "JOBSVC_SWEEP_EVERY='7' can't be used: it must be 1, 2, 3"),
        (
            {"JOBSVC_METRICS_PORT": "65536"},
            "JOBSVC_METRICS_PORT='65536' can't be used: it must be a port from 1 to 65535",
        ),
        ({"JOBSVC_METRICS_PORT": "-1"}, "JOBSVC_METRICS_PORT='-1' can't be used"),
        ({"JOBSVC_SWEEP_EVERY": "0"}, "JOBSVC_SWEEP_EVERY='0' can't be used"),
    ],
)
def test_what_makes_no_fleet_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Settings.load(given, dotenv=None)


def test_a_fleet_has_settings() -> None:
    settings = Settings.load({"JOBSVC_ENGINE": "fleet", "DATABASE_URL": "postgresql://a:b@c/d"}, dotenv=None)
    assert settings.engine is EngineName.FLEET
    assert (settings.heartbeat, settings.stalled_after, settings.sweep_every) == (2, 7, 2)
