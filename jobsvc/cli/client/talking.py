"""What every command of the client has: the options `--url`, `--key` and `--json`, and each option once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import click
from click.core import ParameterSource

from jobsvc.cli.client.address import DEFAULT_URL, VARIABLE, Address, Source
from jobsvc.cli.client.api import Api
from jobsvc.cli.client.exits import Ended, Exit
from jobsvc.cli.client.output import Output

SOURCES = {ParameterSource.DEFAULT: Source.DEFAULT, ParameterSource.ENVIRONMENT: Source.VARIABLE}


class OnceCommand(click.Command):
    """A command that refuses an option that is given twice, where click would take the last one without a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for param in given:
                times = given.count(param)
                if times > 1 and isinstance(param, click.Option) and not (param.multiple or param.is_flag):
                    raise click.UsageError(f"{param.opts[-1]} is given {times} times; it takes one value", ctx)
        return super().parse_args(ctx, args)


command = partial(click.command, cls=OnceCommand)
"""Instead of `click.command`."""


def talks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the service that it talks to and its output, as its first two arguments."""

    @click.option(
        "--url",
        envvar=VARIABLE,
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
            api = Api(named(url), key)
            command(api, Output(as_json), *args, **options)
        except KeyboardInterrupt:
            raise _told(Ended(Exit.INTERRUPTED, "Broken off."), as_json) from None
        except Ended as error:
            raise _told(error, as_json) from None
        except BrokenPipeError:
            # The reader has had enough; click ends the command.
            raise
        except OSError as error:
            what = error.filename or "the output"
            raise _told(Ended(Exit.ERROR, f"{what} can't be used: {error.strerror or error}"), as_json) from None
        finally:
            if api is not None:
                api.close()

    return talking


def named(url: str) -> Address:
    """The address that the option `--url` of the current command stands for. Raises Ended."""
    found = click.get_current_context().get_parameter_source("url")
    return Address.of(url, SOURCES.get(found, Source.OPTION) if found is not None else Source.OPTION)


def _told(error: Ended, as_json: bool) -> Ended:
    error.as_json = as_json
    return error
