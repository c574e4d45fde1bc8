"""`rapport check`: prove that what is stored adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.output import AsJson, fail, out, print_json, progress
from app.cli.tenants import with_kernel

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

app = typer.Typer(help="Whether what is stored adds up.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def money(
    tenant_id: Annotated[
        UUID | None, typer.Argument(help="One company; all of them when absent.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute orders, invoices and payments from their parts; exit code 1 and a list where something differs."""

    async def work(kernel: Kernel) -> list[dict[str, Any]]:
        from app.kernel.money_checks import check_money

        tenants = await kernel.authenticator.active_tenants()
        if tenant_id is not None:
            tenants = [tenant for tenant in tenants if tenant.id == tenant_id]
            if not tenants:
                fail(f"There is no active company {tenant_id}.")
        reports = []
        with progress(quiet=as_json) as bar:
            task = bar.add_task("Checking", total=len(tenants))
            for tenant in tenants:
                found = [one.document() for one in await check_money(kernel, tenant)]
                reports.append({"tenant_id": tenant.id, "differences": found})
                bar.advance(task)
        return reports

    reports = with_kernel(work)
    count = sum(len(report["differences"]) for report in reports)
    if as_json:
        print_json({"adds_up": not count, "tenants": reports})
        raise typer.Exit(1 if count else 0)
    for report in reports:
        for one in report["differences"]:
            out.print(
                f"{report['tenant_id']}  {one['object']} {one['record_id']}: {one['rule']};"
                f" stored {one['stored']}, computed {one['computed']}",
                markup=False,
            )
    if count:
        fail(f"{count:,} figures of {len(reports):,} companies do not add up.")
    out.print(f"The money of {len(reports):,} companies adds up.")
