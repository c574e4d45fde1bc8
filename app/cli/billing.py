"""`rapport billing …`: make the bills that are due, prove them, and offer coupons."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.output import AsJson, fail, out, print_json, progress
from app.cli.tenants import with_kernel

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.tenants.billing.reconciling import BillDifference

app = typer.Typer(help="What companies pay for the product itself.", no_args_is_help=True)
Tenant = Annotated[
    UUID | None, typer.Option(help="One company; all of them when absent.", show_default=False)
]


@app.command()
def run(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Make every bill that is due, as the worker does every quarter of an hour; safe beside it, and at any time."""

    async def work(kernel: Kernel) -> tuple[int, float]:
        from app.tenants.billing.run import bill_all, bill_tenant

        started = time.perf_counter()
        if tenant is None:
            made = await bill_all(kernel)
        else:
            made = await bill_tenant(kernel, await kernel.authenticator.tenant_profile(tenant))
        return made, time.perf_counter() - started

    made, seconds = with_kernel(work)
    if as_json:
        print_json({"bills": made, "seconds": round(seconds, 3)})
    else:
        out.print(f"{made:,} bills made.")


@app.command()
def reconcile(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Compute every bill again from seats, plans, events and coupons; exit code 1 and a list where one differs."""

    async def work(kernel: Kernel) -> dict[UUID, list[BillDifference]]:
        from app.tenants.billing.reconciling import reconcile as check
        from app.tenants.directory import list_tenants

        tenants = await list_tenants(kernel)
        if tenant is not None:
            tenants = [one for one in tenants if one.id == tenant]
            if not tenants:
                fail(f"There is no company {tenant}.")
        found = {}
        with progress(quiet=as_json) as bar:
            task = bar.add_task("Reconciling", total=len(tenants))
            for one in tenants:
                found[one.id] = await check(kernel, one)
                bar.advance(task)
        return found

    found = with_kernel(work)
    count = sum(map(len, found.values()))
    if as_json:
        print_json(
            {
                "reconciled": not count,
                "tenants": [
                    {"tenant_id": id, "differences": [one.document() for one in differences]}
                    for id, differences in found.items()
                ],
            }
        )
        raise typer.Exit(1 if count else 0)
    for id, differences in found.items():
        for one in differences:
            place = "" if one.position is None else f" line {one.position}"
            out.print(
                f"{id}  {one.bill}{place} {one.field}: stored {one.stored}, computed {one.computed}",
                markup=False,
            )
    if count:
        fail(f"{count:,} differences in the bills of {len(found):,} companies.")
    out.print(f"The bills of {len(found):,} companies are what their histories say.")


@app.command()
def coupon(
    code: Annotated[str, typer.Argument(help="What companies type in.")],
    percent: Annotated[str | None, typer.Option(help="So much comes off, in percent.")] = None,
    amount: Annotated[
        str | None, typer.Option(help="So much comes off, in major units of --currency.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217 code.")] = None,
    months: Annotated[int | None, typer.Option(help="Off the bills of so many months; else of one.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Off every bill.")] = False,
    max_redemptions: Annotated[int | None, typer.Option(help="By so many companies at most.")] = None,
    valid_until: Annotated[datetime | None, typer.Option(help="Redeemed before then (UTC).")] = None,
    as_json: AsJson = False,
) -> None:
    """Offer a coupon: a percentage or an amount off one bill, those of some months, or all."""
    from datetime import UTC

    from app.tenants.billing.coupons import NewCoupon, create_coupon

    if (percent is None) == (amount is None) or (forever and months is not None):
        raise typer.BadParameter("Say --percent or --amount, and at most one of --months and --forever.")
    new = NewCoupon(
        code=code,
        kind="percent" if percent is not None else "amount",
        value=_decimal(percent or amount or ""),
        currency=currency,
        duration="forever" if forever else "once" if months is None else "repeating",
        months=months,
        max_redemptions=max_redemptions,
        valid_until=valid_until.replace(tzinfo=UTC) if valid_until else None,
    )
    with_kernel(lambda kernel: create_coupon(kernel, new))
    facts: dict[str, Any] = {"code": code, "duration": new.duration}
    if as_json:
        print_json(facts)
    else:
        out.print(f"{code} can be redeemed.", markup=False)


def _decimal(text: str) -> Decimal:
    if not text.replace(".", "", 1).isdecimal():
        raise typer.BadParameter(f"{text} is not a number.")
    return Decimal(text)
