"""The database and the settings of commands that work on this installation itself, not through the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from pydantic import ValidationError

from app.cli.output import fail
from app.kernel.config import Settings


def load_settings() -> Settings:
    """The settings in force, or a failure that names the variable which is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"  {variable_of('.'.join(str(part) for part in one['loc'][:1]))}: {one['msg']}"
            for one in error.errors()
        ]
        fail("A setting is not valid.\n" + "\n".join(wrong), "`rapport config` explains every setting.")


def variable_of(field: str) -> str:
    """The environment variable of a setting."""
    known = {
        "database_url": "DATABASE_URL",
        "database_app_url": "DATABASE_APP_URL",
        "database_control_url": "DATABASE_CONTROL_URL",
    }
    return known.get(field, field if field.isupper() else f"RAPPORT_{field.upper()}")


def without_password(url: str) -> str:
    """An address that may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{place}"))


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with `database_url` set: DATABASE_URL, or the embedded PostgreSQL, started or joined.

    What this starts it stops. Call it on the main thread. Failures say what to do.
    """
    if settings.database_url is not None:
        yield settings
        return
    from app.kernel.postgres import EmbeddedPostgres, PostgresError

    server = EmbeddedPostgres(settings.data_dir / "postgres")
    try:
        server.start()
    except PostgresError as error:
        fail(str(error))
    try:
        yield settings.model_copy(update={"database_url": server.url})
    finally:
        server.stop()


@contextmanager
def migrated_database(settings: Settings) -> Iterator[Settings]:
    """The same; the embedded one, which has no operator, is brought up to date first."""
    with database(settings) as with_url:
        if settings.database_url is None:
            from app.kernel import migrate

            migrate.upgrade(url_of(with_url))
        yield with_url


def url_of(settings: Settings) -> str:
    """The database's address, which is set inside `database`."""
    if settings.database_url is None:
        raise RuntimeError("outside `with database(settings)`")
    return settings.database_url
