"""What every command of the client has: the options `--url`, `--key` and `--json`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from jobsvc.cli.client.api import Api
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output

DEFAULT_URL = "http://127.0.0.1:8081"


def talks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the service that it talks to and its output, as its first two arguments."""

    @click.option(
        "--url",
        envvar="JOBSVC_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="Where the service is.",
    )
    @click.option(
        "--key",
        envvar="JOBSVC_API_KEY",
        show_envvar=True,
        help="The key to be let in with. Other users of this machine see command lines: the variable is safer.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts; errors too.")
    @wraps(command)
    def talking(*args: Any, url: str, key: str | None, as_json: bool, **options: Any) -> None:
        api = None
        try:
            api = Api(url, key)
            command(api, Output(as_json), *args, **options)
        except KeyboardInterrupt:
            raise Ended(Exit.INTERRUPTED, "Broken off.") from None
        except Ended as error:
            error.as_json = as_json
            raise
        finally:
            if api is not None:
                api.close()

    return talking
