"""docs/webhooks.md: its command gets a message sent as it shows, and its code verifies it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.blocks import blocks
from tests.support.pages import DOCS
from tests.support.receiver import Received, receiving
from tests.support.server import Server

PAGE = blocks(DOCS / "webhooks.md")
COMMAND = next(block.text for block in PAGE if "callback_url=" in block.text)
(CODE,) = (block.text for block in PAGE if block.language == "python")
(SHOWN,) = (block.text for block in PAGE if block.language == "http")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Received, str]]:
    """The message of a job that has succeeded, and the service's secret."""
    directory = tmp_path_factory.mktemp("webhooks")
    (directory / "people.csv").write_text("date,name\n2026-01-31,Ann\n")
    server = Server(directory / "data", JOBSVC_WEBHOOK_ALLOW_PRIVATE="1", DATABASE_URL="").start()
    try:
        with receiving() as receiver:
            command = COMMAND.replace("https://example.com/hooks/jobs", receiver.url)
            command = command.replace("http://127.0.0.1:8081", server.url)
            subprocess.run(command, shell=True, cwd=directory, check=True, capture_output=True)
            (message,) = receiver.wait_for(1)
        yield message, (server.data_dir / "webhook-secret").read_text().strip()
    finally:
        server.kill()


def verify(secret: str, message: Received) -> Any:
    names: dict[str, Any] = {}
    exec(CODE, names)
    return names["verify"](secret, {name.lower(): text for name, text in message.headers.items()}, message.body)


def test_the_message_looks_as_shown_and_the_code_of_the_page_verifies_it(sent: tuple[Received, str]) -> None:
    message, secret = sent
    shown = re.findall(r"^([\w-]+): ", SHOWN, re.MULTILINE)
    assert {name.lower() for name in message.headers} >= set(shown)
    told = verify(secret, message)
    assert list(told) == ["type", "timestamp", "data"]
    assert (told["type"], told["data"]["state"]) == ("job.succeeded", "succeeded")


@pytest.mark.parametrize("wrong", ["secret", "body", "age"])
def test_the_code_of_the_page_refuses_what_is_not_genuine(
    sent: tuple[Received, str], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, secret = sent
    if wrong == "secret":
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    elif wrong == "body":
        message = Received(message.path, message.headers, message.body.replace(b"succeeded", b"failed"))
    else:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 301)
    with pytest.raises(ValueError, match="too old" if wrong == "age" else "not signed"):
        verify(secret, message)
