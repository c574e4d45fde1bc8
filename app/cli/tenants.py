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
    from app.kernel.uow import UnitOfWork

T = TypeVar("T")
app = typer.Typer(help="The companies of this installation.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; it goes into the company's audit log.")]
Id = Annotated[UUID, typer.Argument(help="The company's id, as `tenants list` shows it.", show_default=False)]


def with_kernel(work: Callable[[Kernel], Awaitable[T]]) -> T:
    """Run work on this installation's own parts; refusals become failures."""
    from app.kernel.errors import Problem

    async def run(settings: Settings) -> T:
        from app.kernel.startup import open_kernel
        from app.product import build_registry

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
    from app.tenants.operators import service

    act(tenant_id, lambda uow: service.suspend(uow, reason))
    out.print(f"{tenant_id} is suspended.")


@app.command()
def cancel(
    tenant_id: Id,
    reason: Reason,
    when: Annotated[
        str, typer.Option(help="now, or period_end: when what is paid for is over.")
    ] = "period_end",
    as_json: AsJson = False,
) -> None:
    """Cancel what a company subscribes to; its last bill follows two days later."""
    from app.tenants.lifecycle.account import CancelWhen
    from app.tenants.operators import service

    if when not in tuple(CancelWhen):
        raise typer.BadParameter(f"{when} is neither now nor period_end.", param_hint="--when")
    found = act(tenant_id, lambda uow: service.cancel(uow, CancelWhen(when), reason))
    at = found.cancelled_at or found.cancel_at
    if as_json:
        print_json({"id": str(found.id), "status": found.status, "at": at.isoformat() if at else None})
    else:
        out.print(f"{tenant_id} is {found.status}; it ends {at:%Y-%m-%d %H:%M} UTC.")


@app.command()
@app.command("resume")
def reactivate(tenant_id: Id, reason: Reason) -> None:
    """End a suspension, or take up a cancelled account: its people can work again, at once."""
    from app.tenants.operators import service

    act(tenant_id, lambda uow: service.reactivate(uow, reason))
    out.print(f"{tenant_id} is active.")


@app.command()
def plan(
    tenant_id: Id,
    key: Annotated[str, typer.Argument(help="Key of a plan on offer, such as professional.")],
    reason: Reason,
    interval: Annotated[str | None, typer.Option(help="monthly or yearly; as it is when absent.")] = None,
) -> None:
    """Move a company to another plan: a dearer one at once, a cheaper one from the next period on."""
    from app.tenants.billing.periods import BillingInterval
    from app.tenants.operators import service

    wanted = BillingInterval(interval) if interval else None
    moved = act(tenant_id, lambda uow: service.move_plan(uow, key, wanted, reason))
    held = moved.pending or moved.held
    out.print(f"{tenant_id} has {held.plan.key} from {held.at:%Y-%m-%d %H:%M} UTC on.")


@app.command()
def credit(
    tenant_id: Id,
    amount: Annotated[
        str, typer.Argument(help="In major units, such as 25.00; less than zero takes it back.")
    ],
    currency: Annotated[str, typer.Argument(help="ISO 4217 code.")],
    reason: Reason,
) -> None:
    """Give a company credit, which its next bills take first."""
    from app.kernel.money import Money
    from app.tenants.operators import service

    after = act(
        tenant_id,
        lambda uow: service.grant_credit(uow, Money.from_major(amount, currency), reason),
        control=True,
    )
    out.print(f"{tenant_id} has {after.to_texts()['amount']} {after.currency} in its favour.")


@app.command()
def impersonate(
    tenant_id: Id,
    member_id: Annotated[UUID, typer.Argument(help="In whose place.", show_default=False)],
    reason: Reason,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="How long at most.")] = 30,
    write: Annotated[bool, typer.Option(help="Also change things.")] = False,
) -> None:
    """An access token to act in a member's place; the company's owners are told."""
    from app.tenants.operators.impersonation import impersonate as begin

    made = act(
        tenant_id,
        lambda uow: begin(uow, member_id, reason=reason, minutes=minutes, may_write=write),
        control=True,
    )
    print_facts(
        {"session_id": str(made.session.id), "expires_in": made.expires_in, "token": made.access_token}
    )


def act(tenant_id: UUID, work: Callable[[UnitOfWork], Awaitable[T]], *, control: bool = False) -> T:
    """Do something for a company as whoever sits at the command line; logged, and seen by the company."""

    async def run(kernel: Kernel) -> T:
        from app.tenants.auth.control import control_transaction
        from app.tenants.operators.acts import Operator, acting, company, operator_actor

        operator = Operator.console()
        if control:
            actor = operator_actor(operator, await company(kernel, tenant_id))
            async with control_transaction(kernel, actor) as uow:
                return await work(uow)
        async with acting(kernel, operator, tenant_id) as uow:
            return await work(uow)

    return with_kernel(run)


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
