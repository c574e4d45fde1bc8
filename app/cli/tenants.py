"""`rapport tenants …`: the companies of this installation, for its operator. It works on the database itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from app.cli.local import load_settings, migrated_database
from app.cli.output import AsJson, fail, out, print_facts, print_json, print_table

if TYPE_CHECKING:
    from app.kernel.access import TenantProfile
    from app.kernel.config import Settings
    from app.kernel.runtime import Kernel

T = TypeVar("T")
app = typer.Typer(help="The companies of this installation.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; it goes into the company's audit log.")]
Id = Annotated[UUID, typer.Argument(help="The company's id, as `tenants list` shows it.", show_default=False)]


def with_kernel(work: Callable[[Kernel], Awaitable[T]]) -> T:
    """Run work on this installation's own parts; refusals become failures."""
    from app.kernel.errors import Problem

    async def run(settings: Settings) -> T:
        from app.kernel.startup import open_kernel
        from app.main import build_registry

        async with open_kernel(settings, build_registry()) as kernel:
            return await work(kernel)

    with migrated_database(load_settings()) as settings:
        try:
            return asyncio.run(run(settings))
        except Problem as problem:
            fail(f"{problem.title}: {problem.detail}" if problem.detail != problem.title else problem.title)
        except OSError as error:
            fail(
                f"Cannot reach the database: {error}",
                "Is PostgreSQL running? DATABASE_URL says where we look.",
            )


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Every company, oldest first."""
    from app.tenants.directory import list_tenants

    found = with_kernel(list_tenants)
    if as_json:
        print_json([_facts(tenant) for tenant in found])
    else:
        rows = [[t.id, t.name, t.status, t.country, t.currency, t.time_zone] for t in found]
        print_table(["Id", "Name", "Status", "Country", "Currency", "Time zone"], rows)


@app.command()
def create(
    company: Annotated[str, typer.Argument(help="Its name.")],
    owner_email: Annotated[str, typer.Option(help="The owner signs in with this address.")],
    owner_name: Annotated[str, typer.Option(help="The owner's name.")],
    password: Annotated[
        str,
        typer.Option(
            envvar="RAPPORT_OWNER_PASSWORD",
            help="For an owner who is new here; asked for when absent.",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
    country: Annotated[str, typer.Option(help="ISO 3166-1 code.")] = "US",
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    time_zone: Annotated[str, typer.Option(help="Name in the IANA database.")] = "UTC",
    locale: Annotated[str, typer.Option(help="Language, such as en or zh-CN.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Make a company and its owner; the owner's address counts as verified."""
    from app.kernel.errors import Invalid
    from app.tenants.directory import Founded, NewTenant, create_tenant

    new = NewTenant(company, locale=locale, country=country, time_zone=time_zone, currency=currency)

    async def work(kernel: Kernel) -> Founded:
        try:
            return await create_tenant(
                kernel, new, owner_name=owner_name, owner_email=owner_email, password=password or None
            )
        except ValueError as error:
            raise Invalid(str(error)) from None

    made = with_kernel(work)
    facts = _facts(made.profile) | {"owner_member_id": str(made.owner.id), "owner_email": made.owner.email}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


@app.command()
def suspend(tenant_id: Id, reason: Reason) -> None:
    """Leave a company only reading and export, at once."""
    from app.tenants.directory import suspend_tenant

    with_kernel(lambda kernel: suspend_tenant(kernel, tenant_id, reason=reason))
    out.print(f"{tenant_id} is suspended.")


@app.command()
def resume(tenant_id: Id, reason: Reason) -> None:
    """End a suspension: its people can work again, at once."""
    from app.tenants.directory import reactivate_tenant

    with_kernel(lambda kernel: reactivate_tenant(kernel, tenant_id, reason=reason))
    out.print(f"{tenant_id} is active.")


def _facts(tenant: TenantProfile) -> dict[str, Any]:
    return {
        "id": str(tenant.id),
        "name": tenant.name,
        "slug": tenant.slug,
        "status": tenant.status,
        "country": tenant.country,
        "currency": tenant.currency,
        "time_zone": tenant.time_zone,
        "locale": tenant.locale,
    }
