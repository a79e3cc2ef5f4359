"""Browsers and a real server: a cookie jar, what gunicorn makes of a proxy's headers, and Chromium, if it is there."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.support.chromium import find_chromium
from tests.support.server import Server
from tests.support.waiting import TIMEOUT

ANN = "key-of-ann-0000000000000000"

CHROMIUM = find_chromium()

with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(JOBSVC_API_KEYS=f"ann:{ANN}").start()


def test_a_cookie_jar_logs_in_works_and_logs_out(server: Server) -> None:
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def ask(path: str, origin: str | None = server.url, **form: str) -> tuple[int, str]:
        data = urllib.parse.urlencode(form).encode() if form or path == "/logout" else None
        request = urllib.request.Request(server.url + path, data, {"Origin": origin} if origin else {})
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert ask("/jobs")[0] == 401
    assert ask("/login", key="x" * 30)[0] == 401
    assert ask("/login?next=/jobs", key=ANN) == (200, '{"jobs":[],"next":null}\n')
    (cookie,) = jar
    assert (cookie.name, cookie.path, cookie.secure) == ("jobsvc", "/", False)
    status, text = ask("/kinds/createExport/jobs", **{"from": "2026-01-01", "to": "2026-01-01"})
    assert status == 201
    job = json.loads(text)["id"]
    assert job.startswith("ann-")
    assert ask(f"/jobs/{job}/pause", origin="http://evil.example", wait="0")[0] == 403
    assert ask(f"/updateTask?id={job}&action=terminate")[0] == 403
    assert "logged in as <strong>ann</strong>" in ask("/login")[1]
    assert 'name="key"' in ask("/logout")[1]
    assert list(jar) == []
    assert ask("/jobs")[0] == 401


@pytest.mark.parametrize(
    ("trusted", "secure"),
    [({}, True), ({"JOBSVC_TRUSTED_PROXIES": "127.0.0.0/8"}, True), ({"JOBSVC_TRUSTED_PROXIES": "192.0.2.1"}, False)],
    ids=["this machine", "told", "another"],
)
def test_a_proxy_says_that_people_come_by_https(
    make_server: Callable[..., Server], trusted: dict[str, str], secure: bool
) -> None:
    server = make_server(JOBSVC_API_KEYS=f"ann:{ANN}", **trusted).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://jobs.example.org"}
    through = {**form, "Host": "jobs.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.99"}
    connection.request("POST", "/login", f"key={ANN}", through)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert ("Strict-Transport-Security" in answer.headers) == secure
    if secure:
        cookie = answer.headers["Set-Cookie"]
        assert answer.status == 303
        assert cookie.startswith("__Host-jobsvc=")
        assert "Secure" in cookie.split("; ")
    else:
        # It is HTTP for all that the service knows, and so not the page that the browser names.
        assert answer.status == 403
    line = json.loads([line for line in server.log.read_text().splitlines() if "POST /login" in line][-1])
    assert line["client"] == ("192.0.2.99" if trusted and secure else "127.0.0.1")


def chromium(profile: Path, *options: str) -> list[str]:
    assert CHROMIUM is not None
    usual = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
    return [CHROMIUM, *usual, f"--user-data-dir={profile}", *options]


@with_chromium
def test_chromium_is_led_to_the_login_page_which_keeps_to_its_policy(server: Server, tmp_path: Path) -> None:
    command = chromium(tmp_path / "profile", "--enable-logging=stderr", "--dump-dom", f"{server.url}/jobs?limit=5")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert '<form method="post" action="login?next=/jobs%3Flimit%3D5">' in done.stdout
    assert "Content Security Policy" not in done.stderr


ATTACK = """<!doctype html>
<iframe name="there"></iframe>
<form method="post" target="there" action="{url}/exportData" enctype="text/plain">
<input name='{{"from": "2026-01-01", "to": "2026-01-01", "callback_url": null, "job": null, "x' value='": ""}}'>
</form>
<script>
const frame = document.querySelector("iframe");
const next = (then) => {{ frame.onload = then; }};
next(() => {{
  next(() => fetch("/done"));
  frame.src = "{url}/updateTask?id={job}&action=terminate";
}});
document.forms[0].submit();
</script>
"""
"""A form whose text is JSON, to make a job; and a view of a page, to stop one."""


@contextmanager
def site(page: str, address: str) -> Iterator[tuple[str, Event]]:
    """Another site with that page; its address, and what happens once the page has done what it wants."""
    done = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/done":
                done.set()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://{address}:{httpd.server_port}/", done
        httpd.shutdown()


@with_chromium
@pytest.mark.parametrize("address", ["localhost", "127.0.0.1"], ids=["another site", "another port"])
def test_another_page_in_chromium_makes_no_job_and_stops_none(
    make_server: Callable[..., Server], tmp_path: Path, address: str
) -> None:
    server = make_server(JOBSVC_MAX_RUNNING="1", JOBSVC_RECOVER="manual").start()
    request = urllib.request.Request(f"{server.url}/exportData", b'{"from": "2026-01-01", "to": "2026-01-01"}')
    job = json.loads(urllib.request.urlopen(request, timeout=30).read())["Job ID"]
    before = server.get("/jobs")["jobs"]
    with site(ATTACK.format(url=server.url, job=job), address) as (url, done):
        browser = subprocess.Popen(
            chromium(tmp_path / "profile", "--remote-debugging-port=0", url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert done.wait(TIMEOUT), "the page has not done what it wants"
        finally:
            # Some distributions start it from a script, which would end without it.
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    asked = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    refused = [(line["route"], line["status"]) for line in asked if line.get("status") == 403]
    assert refused == [("/exportData", 403), ("/updateTask", 403)]
    assert [job["id"] for job in server.get("/jobs")["jobs"]] == [job["id"] for job in before]
