"""`rapport figures check`: prove that the sums kept for boards, funnels and forecasts are what the records say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.output import NO, AsJson, fail, out, print_json, progress
from app.cli.tenants import with_kernel

if TYPE_CHECKING:
    from app.kernel.access import TenantProfile
    from app.kernel.runtime import Kernel

app = typer.Typer(help="The sums kept for boards, funnels and forecasts.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def check(
    tenant_id: Annotated[
        UUID | None, typer.Argument(help="One company; all of them when absent.", show_default=False)
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Compute anew what does not fit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the kept sums with a recomputation from the opportunities; exit code 3 when something does not fit."""

    async def work(kernel: Kernel) -> list[dict[str, Any]]:
        from app.tenants.directory import list_tenants

        tenants = [one for one in await list_tenants(kernel) if tenant_id in (None, one.id)]
        reports = []
        with progress(quiet=as_json) as bar:
            task = bar.add_task("Checking", total=len(tenants))
            for tenant in tenants:
                reports.append(await _check(kernel, tenant, repair=repair))
                bar.advance(task)
        return reports

    reports = with_kernel(work)
    wrong = [report for report in reports if any(report["differences"].values())]
    left = [report for report in wrong if not report["repaired"]]
    if as_json:
        print_json({"right": not left, "tenants": reports})
        raise typer.Exit(NO if left else 0)
    for report in reports:
        state = (
            "[green]right[/]"
            if report not in wrong
            else "repaired"
            if report["repaired"]
            else "[red]WRONG[/]"
        )
        out.print(f"{report['tenant_id']}  {state}")
    if left:
        fail(
            f"The sums of {len(left)} of {len(reports)} companies are not what their opportunities say.",
            "Run this again with --repair, and tell us how it came to be.",
            exit_code=NO,
        )


async def _check(kernel: Kernel, tenant: TenantProfile, *, repair: bool) -> dict[str, Any]:
    from app.kernel import uow as units
    from app.kernel.access import system_actor
    from app.modules.opportunities.reading.sums import KeptSums

    actor = system_actor(tenant)
    async with units.transaction(kernel, actor) as uow:
        differences = dict(await KeptSums(uow).differences())
    wrong = repair and any(differences.values())
    if wrong:
        after: UUID | None = None
        while True:
            async with units.transaction(kernel, actor) as uow:
                after = await KeptSums(uow).keep_passages(after)
            if after is None:
                break
        async with units.transaction(kernel, actor) as uow:
            await KeptSums(uow).build()
    return {"tenant_id": tenant.id, "differences": differences, "repaired": wrong}
