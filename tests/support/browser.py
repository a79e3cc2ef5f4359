"""A browser, as far as a test client can be one: it keeps the cookie and says which page a request comes from."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

PLAIN = "http://localhost"
SECURE = "https://jobs.example.org"

PAGE_VIEW = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""What browsers accept where they want to show something."""


class Browser:
    """One person's, with cookies of its own."""

    def __init__(self, app: Flask, base_url: str = PLAIN) -> None:
        self.client = app.test_client()
        self.base_url = base_url

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        """A request of a page of this service."""
        said = {"Sec-Fetch-Site": "same-origin"} if headers is None else headers
        return self.client.open(path, method=method, base_url=self.base_url, headers=said, **more)

    def get(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        return self.ask("GET", path, headers, **more)

    def post(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        return self.ask("POST", path, headers, **more)

    def log_in(self, key: str) -> Browser:
        answer = self.post("/login", data={"key": key})
        assert answer.status_code == 303, answer.text
        return self

    def copy(self, value: str) -> Browser:
        """Another one, to which somebody has brought the value of a cookie."""
        other = Browser(self.client.application, self.base_url)
        domain = self.base_url.partition("://")[2]
        name = "__Host-jobsvc" if self.base_url.startswith("https:") else "jobsvc"
        other.client.set_cookie(name, value, domain=domain)
        return other


def cookie_of(answer: TestResponse) -> tuple[str, str, set[str]]:
    """The name, the value and the flags of the cookie that an answer sets."""
    pair, *flags = answer.headers["Set-Cookie"].split("; ")
    name, _, value = pair.partition("=")
    return name, value, set(flags)
