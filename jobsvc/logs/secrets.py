"""What must not be in any line: passwords and keys that this process knows, and those in URLs.

Nothing here logs them on purpose. They come with the texts of others: a driver that quotes
its URL, a library that prints a header.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from jobsvc.access import key_ring
from jobsvc.access.key_text import without_secrets
from jobsvc.settings import Settings, given_texts

MIN_CHARACTERS = 8
"""A shorter password is a word like others: to black it out everywhere would make lines unreadable."""

_IN_ENVIRONMENT = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|_KEYS?$|^AWS_ACCESS_KEY_ID$")
"""Names of variables whose values are secrets, ours and other people's."""

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")

HIDDEN = "…"


def known(settings: Settings, environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The secrets of this process, in every form in which they may be printed."""
    if environ is None:
        # The file `.env` is not in the environment.
        environ = {name: given.text for name, given in given_texts().items()}
    found = {settings.webhook_secret, settings.webhook_secret.removeprefix("whsec_"), *_of_url(settings.database_url)}
    found |= {text.strip() for name, text in environ.items() if _IN_ENVIRONMENT.search(name)}
    found |= {part.partition(":")[2].partition(":")[0] for part in environ.get(key_ring.SETTING, "").split(",")}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        found |= _of_url(environ.get(name, ""))
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        found |= _of_headers(environ.get(name, ""))
    return frozenset(text for text in found if len(text) >= MIN_CHARACTERS)


def _of_url(url: str) -> set[str]:
    """The password in a URL, plain and percent-encoded."""
    try:
        password = make_url(url).password if url.startswith("postgres") else urlsplit(url).password
    except (ArgumentError, ValueError):
        return set()
    return {str(password), unquote(str(password)), quote(str(password), safe="")} if password else set()


def _of_headers(text: str) -> set[str]:
    """The values of `name=value,name=value`, which are percent-encoded, with and without a word such as Bearer."""
    values = {pair.partition("=")[2].strip() for pair in text.split(",")}
    plain = values | {unquote(value) for value in values}
    return plain | {words[-1] for value in plain if (words := value.split())}


class Censor:
    """Takes secrets out of texts. Never changes; safe to share among threads."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = frozenset(secrets)
        longest_first = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def knowing(self, secret: str) -> Censor:
        """One that knows a further secret."""
        return Censor(self._secrets | {secret})

    def clean(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if "://" in text:
            text = _CREDENTIALS.sub(f"{HIDDEN}@", text)
        return without_secrets(_BEARER.sub(rf"\1 {HIDDEN}", text))
