"""The service behind a proxy that speaks HTTPS, as the page on operating shows it: a real Caddy, and a real nginx."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.server import Server, free_port
from tests.support.waiting import poll

KEY = "k" * 24

NGINX = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        {location}
    }}
}}
"""


def caddy(folder: Path, port: int, upstream: int) -> subprocess.Popen[bytes]:
    """Caddy with the file of the repository; for localhost it makes a certificate by itself."""
    return subprocess.Popen(
        ["caddy", "run", "--adapter", "caddyfile", "--config", str(ROOT / "Caddyfile")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "JOBSVC_NAME": f"https://localhost:{port}",
            "UPSTREAM": f"127.0.0.1:{upstream}",
        },
        stderr=(folder / "log").open("wb"),
    )


def nginx(folder: Path, port: int, upstream: int) -> subprocess.Popen[bytes]:
    """nginx with what the page shows, and a certificate of its own."""
    page = (ROOT / "docs" / "operating.md").read_text()
    shown = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    location = shown.group(1).replace("127.0.0.1:8081", f"127.0.0.1:{upstream}")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    # Its workers are another user's.
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, location=location))
    return subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])


class Client:
    """Talks HTTPS to the proxy, whose certificate nobody has signed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def ask(self, method: str, path: str, body: bytes | None = None, key: str | None = KEY) -> tuple[int, Any]:
        headers = {"Content-Type": "text/csv"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(self._url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=60) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, data = error.code, error.read()
        try:
            return status, json.loads(data)
        except ValueError:
            return status, data.decode()

    def is_there(self) -> bool:
        try:
            return self.ask("GET", "/healthz", key=None)[0] == 200
        except OSError:
            return False


@pytest.fixture(params=[caddy, nginx], ids=lambda proxy: proxy.__name__)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_server: Callable[..., Server]
) -> Iterator[Client]:
    if shutil.which(request.param.__name__) is None:
        pytest.skip(f"there is no {request.param.__name__} here")
    server = make_server(JOBSVC_API_KEYS=f"ann:{KEY}:admin").start()
    folder = tmp_path_factory.mktemp("proxy")
    port = free_port()
    proxy = request.param(folder, port, server.port)
    found = Client(f"https://localhost:{port}")
    try:
        poll(found.is_there, 30, "the proxy to be ready")
        yield found
    finally:
        proxy.terminate()
        proxy.wait(30)


def test_a_job_is_started_steered_and_read_through_the_proxy(client: Client) -> None:
    assert client.ask("GET", "/jobs", key=None)[0] == 401
    # More than a proxy holds in memory, and than nginx takes by default.
    rows = b"date,name\n" + b"2026-01-01,Ann\n" * 400_000
    status, said = client.ask("PUT", "/uploadCSV", rows)
    assert status == 200, said
    job = said["Job ID"]
    assert client.ask("POST", f"/jobs/{job}/pause?wait=20")[1]["state"] in ("paused", "succeeded")
    assert client.ask("POST", f"/jobs/{job}/resume?wait=20")[0] in (200, 409)
    poll(lambda: client.ask("GET", f"/jobs/{job}")[1]["state"] == "succeeded", 60, "the job to succeed")
    assert client.ask("GET", f"/jobs/{job}")[1]["progress"]["done"] == 400_000
    status, export = client.ask("POST", "/exportData", b'{"from": "2026-01-01", "to": "2026-01-01"}')
    assert status == 200, export
    poll(lambda: client.ask("GET", f"/jobs/{export['Job ID']}")[1]["state"] == "succeeded", 60, "the export to succeed")
    status, file = client.ask("GET", f"/jobs/{export['Job ID']}/result")
    assert status == 200
    assert file.count("\n") == 400_001


def test_a_request_that_waits_is_waited_for_by_the_proxy(client: Client) -> None:
    status, said = client.ask("PUT", "/uploadCSV", b"a\n1\n")
    assert status == 200
    poll(lambda: client.ask("GET", f"/jobs/{said['Job ID']}")[1]["state"] == "succeeded", 60, "the job to succeed")
    status, job = client.ask("GET", f"/jobs/{said['Job ID']}?wait=3&unless=succeeded")
    assert (status, job["state"]) == (200, "succeeded")
