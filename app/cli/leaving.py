"""`rapport tenants export | erase | certificate | reapply-erasures`: companies that leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.output import NO, AsJson, fail, out, print_facts, print_json
from app.cli.tenants import Id, Reason, with_kernel

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.tenants.leaving.archive import Archive
    from app.tenants.leaving.certificates import Certificate


def export(
    tenant_id: Id,
    file: Annotated[Path, typer.Option("--file", "-o", help="Where to write the archive.")],
) -> None:
    """Write all of a company's data into one archive."""
    from app.tenants.leaving.archive import Archive
    from app.tenants.operators.acts import Operator, acting, note

    async def work(kernel: Kernel) -> Archive:
        async with acting(kernel, Operator.console(), tenant_id) as uow:
            await note(uow, "exported_by_operator")

        async def told(rows: int, files: int) -> None: ...

        archive = Archive(kernel, tenant_id, told)
        with file.open("wb") as target:
            async for piece in archive.pieces():
                target.write(piece)
        return archive

    made = with_kernel(work)
    out.print(f"{file}: {made.rows:,} rows of {len(made.tables)} tables, {made.files:,} files.")


def erase(
    tenant_id: Id,
    reason: Reason,
    slug: Annotated[str, typer.Option(help="Its slug, so that nobody erases another by mistake.")] = "",
    step: Annotated[int, typer.Option(min=1, help="Rows per transaction.")] = 5_000,
) -> None:
    """Erase a company with all its data, for good, and certify it. Run again, it goes on where it was stopped."""

    async def work(kernel: Kernel) -> dict[str, Any]:
        from app.tenants.leaving.erasure import Erasure

        return await Erasure(kernel, await _begin(kernel, tenant_id, slug, reason), batch=step).run()

    document = with_kernel(work)
    rows = sum(document["rows"].values())
    out.print(
        f"{tenant_id} is erased: {rows:,} rows, {document['files']:,} files, {document['users']:,} people."
    )


async def _begin(kernel: Kernel, tenant_id: UUID, slug: str, reason: str) -> UUID:
    """The erasure of a company: the one that is under way, or one that begins."""
    from app.tenants.auth.control import control_transaction
    from app.tenants.operators.acts import Operator, company, operator_actor
    from app.tenants.operators.service import erase as erase_company

    async with kernel.database.control() as connection:
        found: UUID | None = await connection.fetchval(
            "SELECT id FROM tenants.erasures WHERE tenant_id = $1", tenant_id
        )
    if found is not None:
        return found
    actor = operator_actor(Operator.console(), await company(kernel, tenant_id))
    async with control_transaction(kernel, actor) as uow:
        return await erase_company(uow, slug, reason)


def certificate(tenant_id: Id, as_json: AsJson = False) -> None:
    """Show the certificate of an erased company and check its signature; exit code 3 when it does not fit."""
    from app.kernel.secrets import encode_base64url
    from app.tenants.leaving.certificates import certificate_of

    found: Certificate = with_kernel(lambda kernel: certificate_of(kernel, tenant_id))
    facts = {
        "valid": found.valid,
        "certificate": found.document,
        "key_id": found.key_id,
        "signature": encode_base64url(found.signature),
    }
    if as_json:
        print_json(facts)
        raise typer.Exit(0 if found.valid else NO)
    document = found.document
    print_facts(
        {
            "tenant_id": document["tenant_id"],
            "requested_by": document["requested_by"],
            "requested_at": document["requested_at"],
            "reason": document["reason"],
            "completed_at": document["completed_at"],
            "rows": sum(document["rows"].values()),
            "files": document["files"],
            "people": document["users"],
            "audit_entries": document["audit"]["entries"],
            "audit_hash": document["audit"]["hash"],
            "signature": "valid" if found.valid else "DOES NOT FIT",
        }
    )
    if not found.valid:
        fail("No key of this installation signed this certificate.", exit_code=NO)


def reapply() -> None:
    """After a restore: erase again whatever the lists of erasures say was erased, companies and people."""

    async def work(kernel: Kernel) -> tuple[list[UUID], list[UUID]]:
        from app.tenants.leaving.erasure import Erasure, Erasures
        from app.tenants.privacy.restoring import erase_people_again

        erasures = Erasures(kernel)
        again = await erasures.reapply()
        for id in await erasures.open():
            await Erasure(kernel, id).run()
        return again, await erase_people_again(kernel)

    found, people = with_kernel(work)
    for tenant_id in found:
        out.print(f"{tenant_id} is erased again.")
    out.print(f"{len(found)} erasures were missing from this database.")
    if people:
        out.print(f"{len(people)} people were erased again.")
