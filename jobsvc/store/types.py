"""The types of columns, where databases differ."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Text, TypeDecorator, cast, type_coerce
from sqlalchemy.dialects.sqlite import DATETIME
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine, UserDefinedType

Big = BigInteger().with_variant(Integer, "sqlite")
"""A whole number of up to 64 bits. SQLite's integers all are, and its keys must be called INTEGER."""

IsoDate = String(10).with_variant(String(10, collation="C"), "postgresql")
"""A date YYYY-MM-DD, in the order of its bytes."""


class _SqliteMoment(DATETIME):
    """SQLite's moments are texts. What is none comes out as nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read: Any = super().result_processor(dialect, coltype)

        def moment(value: Any) -> datetime | None:
            try:
                found: datetime | None = read(value)
            except (ValueError, TypeError):
                return None
            return found

        return moment


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Aware datetimes go in, UTC datetimes come out, also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _SqliteMoment() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Unreadable(str):
    """What the database has in the place of JSON; a list of rows goes on beyond it."""


class _Decoded(TypeDecorator[Any]):
    """JSON text that is decoded when it is read, or Unreadable."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        try:
            return json.loads(value)
        except (ValueError, TypeError, RecursionError):
            return Unreadable(value)


class Jsonb(UserDefinedType[Any]):
    """PostgreSQL's jsonb, which comes from the server as text: the driver would decode it, and not the fastest way."""

    cache_ok = True

    def __init__(self, decoded: bool = False) -> None:
        self.decoded = decoded

    def get_col_spec(self, **_: Any) -> str:
        return "JSONB"

    def column_expression(self, colexpr: ColumnElement[Any]) -> ColumnElement[Any]:
        text = cast(colexpr, Text)
        return type_coerce(text, _Decoded) if self.decoded else text


class JsonText(TypeDecorator[str]):
    """The text of a JSON value: text on SQLite, jsonb on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Jsonb() if dialect.name == "postgresql" else Text()


class Json(_Decoded):
    """A JSON value: text on SQLite, jsonb on PostgreSQL."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Jsonb(decoded=True) if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class AnyText(TypeDecorator[str]):
    """Text that comes from outside. PostgreSQL can't hold the character NUL; there a mark stands in its place.

    A surrogate, half of a character, is in no database: it is stored as Python writes it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not value.isascii():
            value = value.encode("utf-8", "backslashreplace").decode()
        if dialect.name != "postgresql":
            return value
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
