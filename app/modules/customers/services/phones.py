"""Whose telephone number it is.

A record's first number has its compared form (E.164) in a column of its own. The further ones are found by how they
end, a contact's among the search tokens and an account's by an index of endings, and are compared here.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from app.kernel.access import visible_rows
from app.kernel.contact import phone_digits
from app.kernel.duplicates import DuplicateSpec
from app.kernel.listing import Bindings
from app.kernel.tokens import found_by
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import PhoneMatch
from app.modules.customers.services.accounts import ACCOUNT_DUPLICATES
from app.modules.customers.services.contacts import CONTACT_DUPLICATES

_MOST: Final = 20
"""Records of one number that are looked at: a switchboard's number may stand on many."""

_ACCOUNT_ENDING: Final = 6
_CONTACT_ENDING: Final = 7
_SPECS: Final[dict[str, DuplicateSpec]] = {"contact": CONTACT_DUPLICATES, "account": ACCOUNT_DUPLICATES}


async def by_phone(uow: UnitOfWork, e164: str) -> list[PhoneMatch]:
    """Visible contacts, then accounts, with this number, by name; one statement."""
    bind = Bindings(uow.tenant_id)
    key, digits = bind(e164), phone_digits(e164)
    parts: list[str] = []
    for object_name, further, ending in (
        ("contact", found_by("ARRAY[{ending}::text]"), digits[-_CONTACT_ENDING:]),
        (
            "account",
            "t.phones <> '{{}}' AND customers.phone_endings(t.phones) @> ARRAY[{ending}::text]",
            digits[-_ACCOUNT_ENDING:],
        ),
    ):
        if not uow.actor.may(f"{object_name}:read") or not _readable(uow, object_name):
            continue
        source = _SOURCES[object_name]
        visible = visible_rows(uow.actor, object_name, "read", bind)
        tail = f"{f' AND {visible}' if visible else ''} LIMIT {_MOST}"
        # An expression is not leakproof: only behind the read view does it reach its index.
        for table, condition in (
            ("", f"t.phone_key = {key}"),
            ("_read", further.format(ending=bind(ending))),
        ):
            parts.append(f"({source.format(view=table)} AND {condition}{tail})")
    if not parts:
        return []
    rows = await uow.fetch(" UNION ALL ".join(parts), *bind.values)
    found = {(row["object"], row["id"]): row for row in rows if e164 in _numbers(uow, row)}
    matches = [_match(uow, row) for row in found.values()]
    return sorted(matches, key=lambda match: (match.object == "account", match.name, match.id))


def _readable(uow: UnitOfWork, object_name: str) -> set[str]:
    return set(_SPECS[object_name].phones) - uow.actor.hidden(object_name)


def _numbers(uow: UnitOfWork, row: Any) -> list[str]:
    """The numbers of a row in E.164 that the actor may read."""
    readable = _readable(uow, row["object"])
    values = {name: row[name] for name in ("phone", "mobile", "phones") if name in readable}
    _, phones = _SPECS[row["object"]].keys(values | {"country": row["country"]}, uow.actor.tenant.country)
    return phones


def _match(uow: UnitOfWork, row: Any) -> PhoneMatch:
    object_name: Literal["account", "contact"] = row["object"]
    hidden = uow.actor.hidden(object_name)
    shown = "account_id" not in hidden
    return PhoneMatch(
        object_name,
        row["id"],
        "…" if "name" in hidden else row["name"],
        None if "owner_id" in hidden else row["owner_id"],
        row["account_id"] if shown else None,
        row["account_name"] if shown else None,
    )


_SOURCES: Final = {
    "contact": (
        "SELECT 'contact' AS object, t.id, t.name, t.owner_id, t.account_id, (SELECT a.name FROM"
        " customers.accounts a WHERE a.tenant_id = $1 AND a.id = t.account_id) AS account_name, t.country,"
        " t.phone, t.mobile, '{{}}'::text[] AS phones FROM customers.contacts{view} t"
        " WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
    ),
    "account": (
        "SELECT 'account' AS object, t.id, t.name, t.owner_id, NULL::uuid AS account_id,"
        " NULL::text AS account_name, t.country, t.phone, NULL::text AS mobile, t.phones"
        " FROM customers.accounts{view} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
    ),
}
