"""`rapport operator …`: keys of the people and programs that look after the installation."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.cli.output import AsJson, out, print_facts, print_json, print_table
from app.cli.tenants import with_kernel

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.tenants.operators.keys import MadeOperatorKey

app = typer.Typer(help="Keys for the operator API.", no_args_is_help=True)


@app.command("create-key")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; companies read it in their audit log.")],
    days: Annotated[int | None, typer.Option(min=1, help="How long it works; for ever when absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; it is shown this once."""
    from app.tenants.operators.keys import create_key

    async def work(kernel: Kernel) -> MadeOperatorKey:
        expires_at = kernel.clock.now() + timedelta(days=days) if days else None
        return await create_key(kernel, name, expires_at=expires_at)

    made = with_kernel(work)
    facts = {"id": str(made.id), "name": made.name, "key": made.key}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


@app.command("list-keys")
def list_all(as_json: AsJson = False) -> None:
    """Every key, the oldest first, without its secret."""
    from app.tenants.operators.keys import list_keys

    found = with_kernel(list_keys)
    if as_json:
        print_json(found)
    else:
        rows = [
            [k.id, k.name, k.hint, k.last_used_at or "", k.revoked_at or k.expires_at or ""] for k in found
        ]
        print_table(["Id", "Name", "Key", "Last used", "Ended or ends"], rows)


@app.command("revoke-key")
def revoke(id: Annotated[UUID, typer.Argument(help="The key's id.", show_default=False)]) -> None:
    """End a key at once, with every impersonation begun with it."""
    from app.tenants.operators.keys import revoke_key

    with_kernel(lambda kernel: revoke_key(kernel, id))
    out.print(f"{id} is revoked.")
