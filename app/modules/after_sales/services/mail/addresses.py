"""Which addresses are ours, and to which address an answer about a case goes.

The address for answers holds a key of the case, which nobody can guess: what arrives there belongs to the case,
whatever its headers have become on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr
from uuid import UUID

from app.kernel.config import Settings
from app.kernel.ids import new_id
from app.kernel.links import new_mail_key
from app.kernel.uow import UnitOfWork


def answers_go_to(settings: Settings, key: str) -> str:
    """The address that holds a key."""
    local, domain = _parts(settings.mail_reply_to)
    return f"{local}+{key}@{domain}"


def keys_in(settings: Settings, addresses: Iterable[str]) -> list[str]:
    """The keys in those of these addresses that are for answers; as gateways rewrite them, in lower case."""
    local, domain = _parts(settings.mail_reply_to)
    found = []
    for address in addresses:
        theirs, at = _parts(address)
        name, plus, key = theirs.partition("+")
        if plus and (name, at) == (local, domain):
            found.append(key)
    return found


def is_ours(settings: Settings, address: str) -> bool:
    """Whether we write from this address, or take answers there: a mail from it is our own."""
    local, domain = _parts(address)
    ours = {_parts(settings.mail_from), _parts(settings.mail_reply_to)}
    return (local, domain) in ours or (local.partition("+")[0], domain) == _parts(settings.mail_reply_to)


def _parts(address: str) -> tuple[str, str]:
    local, _, domain = parseaddr(address)[1].lower().rpartition("@")
    return local, domain


async def key_of(uow: UnitOfWork, case_id: UUID) -> str:
    """The key of a case whose row is held: the first one it had, made where there is none."""
    row = await uow.fetchrow(
        "SELECT key FROM after_sales.case_addresses WHERE tenant_id = $1 AND case_id = $2"
        " ORDER BY created_at, id LIMIT 1",
        uow.tenant_id,
        case_id,
    )
    if row is not None:
        return str(row["key"])
    key = new_mail_key(uow.tenant_id)
    await uow.fetch(
        "INSERT INTO after_sales.case_addresses (tenant_id, id, case_id, key, created_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        uow.tenant_id,
        new_id(),
        case_id,
        key,
        uow.now,
    )
    return key
