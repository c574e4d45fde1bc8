"""What the database refused, as a problem document: constraints are rules, and their names say which."""

from __future__ import annotations

import re

import asyncpg

from app.kernel.errors import (
    Conflict,
    DuplicateValue,
    FieldError,
    Invalid,
    Problem,
    RequestInFlight,
    Unavailable,
)

_DATABASE_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
_KEY = re.compile(r"Key \((?P<columns>[^)]*)\)")


def problem_of(error: asyncpg.PostgresError) -> Problem:
    """The problem behind a driver error; what is not the caller's doing stays a 500."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return _duplicate(error)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        column = _columns(error)[-1:] or ["id"]
        return Invalid.at(
            f"/{column[0]}", "unknown_reference", f"{column[0]} names a record that does not exist."
        )
    if isinstance(error, asyncpg.CheckViolationError):
        name = (error.constraint_name or "rule").removeprefix(f"ck_{error.table_name}_")
        return Invalid.at(
            f"/{name}", "rule_violated", f"The rule {name!r} of {error.table_name} does not hold."
        )
    if isinstance(error, asyncpg.NotNullViolationError):
        return Invalid.at(f"/{error.column_name}", "required", f"{error.column_name} is required.")
    if isinstance(error, asyncpg.DataError):
        return Invalid(f"A value cannot be stored: {error.args[0]}.")
    if isinstance(
        error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError | asyncpg.LockNotAvailableError
    ):
        return Unavailable(
            "Several requests changed the same records at once; send this one again.",
            headers={"Retry-After": "1"},
        )
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable("This took too long; narrow it down.", headers={"Retry-After": "5"})
    if isinstance(error, _DATABASE_GONE):
        return Unavailable(headers={"Retry-After": "2"})
    return Problem()


def _columns(error: asyncpg.PostgresError) -> list[str]:
    match = _KEY.search(getattr(error, "detail", None) or "")
    return [c.strip() for c in match["columns"].split(",") if c.strip() != "tenant_id"] if match else []


def _duplicate(error: asyncpg.UniqueViolationError) -> Problem:
    name = error.constraint_name or ""
    if name == "pk_idempotency_keys":
        return RequestInFlight(headers={"Retry-After": "1"})
    field = name.removeprefix(f"uq_{error.table_name}_") or (_columns(error) or ["id"])[-1]
    if name.startswith("pk_"):
        return Conflict("A record with this key exists already.")
    return DuplicateValue(
        f"Another record already has this {field}.",
        errors=[FieldError(f"/{field}", "duplicate_value", f"Another record already has this {field}.")],
    )
