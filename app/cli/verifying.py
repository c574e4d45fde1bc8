"""`rapport audit verify`: prove that nobody changed the audit log behind the product's back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.cli.output import NO, AsJson, fail, out, print_json, progress
from app.cli.tenants import with_kernel

if TYPE_CHECKING:
    from app.kernel.audit import VerifyReport
    from app.kernel.runtime import Kernel

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def verify(
    tenant_id: Annotated[
        UUID | None, typer.Argument(help="One company; all of them when absent.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash and check every signature; exit code 3 when something does not fit."""

    async def work(kernel: Kernel) -> list[VerifyReport]:
        from app.kernel.audit import verify as verify_tenant
        from app.tenants.directory import list_tenants

        tenants = [tenant_id] if tenant_id else [tenant.id for tenant in await list_tenants(kernel)]
        reports = []
        with progress(quiet=as_json) as bar:
            task = bar.add_task("Verifying", total=len(tenants))
            for tenant in tenants:
                reports.append(await verify_tenant(kernel, tenant))
                bar.advance(task)
        return reports

    reports = with_kernel(work)
    broken = [report for report in reports if not report.intact]
    if as_json:
        print_json({"intact": not broken, "tenants": reports})
        raise typer.Exit(NO if broken else 0)
    for report in reports:
        state = "[green]intact[/]" if report.intact else "[bold red]BROKEN[/]"
        out.print(
            f"{report.tenant_id}  {state}  {report.sealed:,} entries sealed, {report.unsealed:,} waiting,"
            f" {report.checkpoints:,} signatures up to entry {report.signed_to:,}"
            + (f", {report.redacted:,} redacted with a person" if report.redacted else "")
        )
        if report.broken:
            found = report.broken
            place = "" if found.sequence is None else f" at number {found.sequence:,}"
            entry = "" if found.entry_id is None else f" (entry {found.entry_id})"
            out.print(f"  {found.kind}{place}: {found.detail}{entry}", markup=False)
    if broken:
        fail(
            f"The audit log of {len(broken)} of {len(reports)} companies does not verify.",
            "Entries were changed, removed or added outside the product; compare with a backup.",
            exit_code=NO,
        )
