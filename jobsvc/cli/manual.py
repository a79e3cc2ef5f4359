"""The page docs/command-line.md, made from the commands themselves: `make manual`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import click

from jobsvc.cli.client.address import DEFAULT_URL
from jobsvc.cli.client.exits import MEANINGS
from jobsvc.cli.main import CLIENT, OPERATOR, Listed, main

OF_EVERY_CLIENT = {"url", "key", "as_json"}
"""Told once, at the top."""

TOP = f"""\
# The command line

This page is made from the code by `make manual`. `jobsvc COMMAND --help` says the same.

`make install` puts the command into `.venv/bin`; `python -m jobsvc` is the same command. Only to use a service on another machine, install the client alone, which brings nothing that the service runs on: `pip install .` in a clone.

The commands of the first group talk to a service, those of the second work on the service of this machine, by its [settings](operating.md#settings).

## Every command that talks to a service

* `--url TEXT` or the variable `JOBSVC_URL`: where the service is. The default is `{DEFAULT_URL}`.
* `--key TEXT` or `JOBSVC_API_KEY`: the key to be let in with. Other users of a machine see its command lines, so the variable is safer.
* `--json`: print JSON for scripts: what the service answers, one line for each answer. Errors are JSON too, on standard error: `{{"error": "there is no job 'x'", "status": 404, "exit": 5}}`, with a `hint` where there is something to do about it.

Standard output has the result, such as a job's id. Everything else goes to standard error: bars on a terminal, plain lines elsewhere. Where standard output is not a terminal, the columns of tables are separated by tabs.

Ctrl-C ends a watching or a waiting, and says so: what the service was asked to do goes on. A watched service may be away for a minute, to be started again. A download that breaks off goes on where it broke off, also when the same command is given again later.

<!-- first: printf 'date,name\\n2026-01-31,Ann\\nyesterday,Bob\\n' > guests.csv -->

    ID=$(jobsvc upload guests.csv)
    jobsvc watch $ID || jobsvc failed $ID -o refused.csv

<!-- not run: needs jq -->

    jobsvc list --state running --json | jq -r '.jobs[].id'

## Exit codes

| code | meaning |
|---|---|
"""  # noqa: E501 (Markdown)

COMPLETION = """
## Completion

The shell completes commands, options and states after one of these lines in its start file:

<!-- not run: one line for each shell; tests/cli/test_main.py completes -->

    eval "$(_JOBSVC_COMPLETE=bash_source jobsvc)"     # ~/.bashrc
    eval "$(_JOBSVC_COMPLETE=zsh_source jobsvc)"      # ~/.zshrc
    _JOBSVC_COMPLETE=fish_source jobsvc | source      # ~/.config/fish/config.fish
"""


def page() -> str:
    """The whole page."""
    codes = "".join(f"| {int(code)} | {meaning} |\n" for code, meaning in MEANINGS.items())
    parts = [TOP, codes, COMPLETION]
    for title, commands in (("Use a service", CLIENT), ("Look after the service on this machine", OPERATOR)):
        parts += [f"\n## {title}\n", *_section(commands)]
    return "".join(parts)


def _section(commands: Mapping[str, Listed]) -> Iterator[str]:
    top = click.Context(main, info_name="jobsvc")
    for name in commands:
        command = main.get_command(top, name)
        assert command is not None
        yield from _one(command, click.Context(command, top, name))


def _one(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _one(inner, click.Context(inner, context, name))
        return
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"\n### {context.command_path}\n\n```text\n{usage}\n```\n\n{_text(command.help or '')}\n"
    records = [
        record
        for param in command.get_params(context)
        if isinstance(param, click.Option) and param.name != "help"
        if param.name not in OF_EVERY_CLIENT or context.info_name == "doctor"
        if (record := param.get_help_record(context)) is not None
    ]
    if records:
        yield "\n"
    for option, help_text in records:
        yield f"* `{option}`: {help_text}\n"


def _text(text: str) -> str:
    """A help text with one line for each paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


if __name__ == "__main__":
    sys.stdout.write(page())
