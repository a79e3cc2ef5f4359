"""Whose address counts where a proxy is in between."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from flask import Flask

from tests.support.requests import assert_problem

PROXY = {"REMOTE_ADDR": "10.1.2.3"}
HOST = {"Host": "localhost"}


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("127.0.0.1", 200),
        ("8.8.8.8", 403),
        # What others have written before the proxy has added the last one.
        ("8.8.8.8, 127.0.0.1", 200),
        ("127.0.0.1, 8.8.8.8", 403),
    ],
)
def test_a_proxy_that_is_trusted_says_who_asks(make_app: Callable[..., Flask], told: str, status: int) -> None:
    client = make_app(trusted_proxies=(ip_network("192.0.2.7"), ip_network("10.1.0.0/16"))).test_client()
    answer = client.get("/jobs", headers={**HOST, "X-Forwarded-For": told}, environ_base=PROXY)
    assert answer.status_code == status
    assert_problem(client.get("/jobs", headers=HOST, environ_base=PROXY), 403, "local-only")


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.1", "::1", ""])
@pytest.mark.parametrize("trusted", [(), (ip_network("10.1.0.0/16"),)])
def test_nobody_else_says_who_asks(make_app: Callable[..., Flask], address: str, trusted: tuple[object, ...]) -> None:
    client = make_app(trusted_proxies=trusted).test_client()
    for told in ("8.8.8.8", "127.0.0.1"):
        answer = client.get("/jobs", headers={**HOST, "X-Forwarded-For": told}, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == (403 if address == "10.2.0.1" else 200)


def test_a_trusted_proxy_changes_neither_the_name_nor_the_scheme(make_app: Callable[..., Flask]) -> None:
    client = make_app(trusted_proxies=(ip_network("10.1.0.0/16"),)).test_client()
    forwarded = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "X-Forwarded-Proto": "https"}
    answer = client.get("/jobs", headers={"Host": "evil.example", **forwarded}, environ_base=PROXY)
    assert_problem(answer, 403, "local-only")
    assert "Strict-Transport-Security" not in answer.headers
