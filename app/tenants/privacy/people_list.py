"""The list of erased people outside of the database: a restored backup must not bring anybody back.

Beside the list of erased companies, and made the same way: signed lines, one when an erasure begins and one with its
certificate. The lines name records by their ids and nobody by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from app.kernel.config import Settings
from app.kernel.runtime import Kernel
from app.tenants.leaving import erase_list

PURPOSE: Final = "privacy-certificate"
BEGUN: Final = "person"
CERTIFIED: Final = "person-certificate"


def path_of(settings: Settings) -> Path:
    """Where the list is kept."""
    companies = erase_list.path_of(settings)
    return companies.with_name(f"{companies.stem}-people{companies.suffix}")


def append(kernel: Kernel, kind: str, document: dict[str, Any]) -> tuple[str, bytes]:
    """Sign a line and write it so that it survives a power cut; the key and the signature."""
    return erase_list.append(kernel, kind, document, path=path_of(kernel.settings), purpose=PURPOSE)


class PeopleNotErasedAgain(RuntimeError):
    """The database holds people that the list says were erased: it was restored from a backup."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} people who were erased are back, as after a restore; `rapport tenants reapply-erasures`"
            " erases them again, and until then nothing is served."
        )


async def require_applied(kernel: Kernel) -> None:
    """Refuse to serve who was erased. Raises: PeopleNotErasedAgain."""
    missing = await unapplied(kernel)
    if missing:
        raise PeopleNotErasedAgain(len(missing))


async def unapplied(kernel: Kernel) -> dict[UUID, erase_list.Listed]:
    """Erasures that the list names and the database has not: of companies that are there, by the request's id."""
    begun: dict[UUID, erase_list.Listed] = {}
    for line in erase_list.read(kernel, path=path_of(kernel.settings), purpose=PURPOSE):
        begun.setdefault(UUID(line.document["request_id"]), line)
    if not begun:
        return {}
    async with kernel.database.control() as connection:
        known = await connection.fetch(
            "SELECT id FROM tenants.privacy_requests WHERE id = ANY($1::uuid[])"
            " AND state IN ('running', 'completed')",
            list(begun),
        )
        there = await connection.fetch(
            "SELECT id FROM tenants.tenants WHERE id = ANY($1::uuid[]) AND status <> 'erased'",
            [line.tenant_id for line in begun.values()],
        )
    return _missing(begun, {row["id"] for row in known}, {row["id"] for row in there})


def _missing(
    begun: Mapping[UUID, erase_list.Listed], known: set[UUID], tenants: set[UUID]
) -> dict[UUID, erase_list.Listed]:
    return {id: line for id, line in begun.items() if id not in known and line.tenant_id in tenants}
