"""`rapport db …`: the schema of the database, and its distribution over a Citus cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from app.cli.local import database, load_settings, url_of, without_password
from app.cli.output import NO, AsJson, err, fail, out, print_json

T = TypeVar("T")
app = typer.Typer(help="The database: its schema and its distribution.", no_args_is_help=True)


def run(work: Coroutine[Any, Any, T], url: str) -> T:
    """Run asynchronous work on a database; what goes wrong there becomes advice."""
    import asyncpg

    shown = without_password(url)
    try:
        return asyncio.run(work)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        fail(f"{shown} refuses us: {error}", "Check user and password in DATABASE_URL.")
    except asyncpg.InvalidCatalogNameError as error:
        fail(f"{shown}: {error}", "Create the database, or correct DATABASE_URL.")
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        fail(f"Cannot connect to {shown}: {error}", "Is PostgreSQL running? DATABASE_URL says where we look.")
    except asyncpg.InsufficientPrivilegeError as error:
        fail(
            f"{shown}: {error}",
            "The user of DATABASE_URL must own the roles rapport_owner, rapport_app and rapport_control, "
            "or be allowed to create them.",
        )


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Apply the migrations that are pending. Safe to run again, and by several processes at once."""
    from app.kernel import migrate

    with database(load_settings()) as settings:
        url = url_of(settings)
        with err.status("Migrating …"):
            applied = run(migrate.upgrade_async(url), url)
    if as_json:
        print_json({"applied": applied})
    else:
        out.print(f"Applied {', '.join(applied)}." if applied else "The database is up to date.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Say whether migrations are pending, or a dump was restored on another server (exit code 3 if so)."""
    from app.kernel import migrate

    with database(load_settings()) as settings:
        url = url_of(settings)
        pending = run(migrate.pending(url), url)
        current = run(migrate.current(url), url)
        behind = run(migrate.behind(url), url)
    if as_json:
        print_json({"current": current, "pending": pending, "restored": behind})
    elif not pending and not behind:
        out.print(f"The database is up to date, at {current}.")
    if (pending or behind) and as_json:
        raise typer.Exit(NO)
    if behind:
        fail("The database was restored on another server.", "Run `rapport db upgrade`.", exit_code=NO)
    if pending:
        fail(f"Pending: {', '.join(pending)}.", "Run `rapport db upgrade`.", exit_code=NO)


@app.command()
def distribute(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Distribute every tenant's table by tenant_id over the workers of a Citus cluster.

    Tables that work across tenants (sign-in identities, key hashes, queues) stay on the coordinator. Tables
    that are distributed already are left alone, so it can be run again after an upgrade.
    """
    from app.cli.citus import plan

    with database(load_settings()) as settings:
        url = url_of(settings)
        found = run(plan(url), url)
        if as_json:
            print_json({"citus": found.citus, "distribute": found.distribute, "local": found.local})
        elif dry_run:
            out.out(found.sql(), end="")
        if dry_run:
            return
        if found.citus is None:
            fail("This server has no Citus extension, so nothing was changed.", found.missing(), exit_code=NO)
        run(found.execute(url), url)
        if not as_json:
            out.print(
                f"Distributed {len(found.distribute)} tables; {len(found.local)} stay on the coordinator."
            )
