"""What tests of merging share: requests, companies with references in every module, and proof that nothing changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.fingerprint import Fingerprint, changes, fingerprint
from tests.tenants.people import Look

Json = dict[str, Any]

LOGS = ("kernel.audit_entries", "kernel.outbox", "kernel.usage_records", "kernel.merges", "kernel.inbox")


class Unchanged:
    """`async with unchanged():` what happens inside leaves no trace in the company's rows."""

    def __init__(self, company: Company, look: Look) -> None:
        self._company, self._look = company, look

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        before = await fingerprint(self._look.connection, self._company.tenant_id)
        yield
        after = await fingerprint(self._look.connection, self._company.tenant_id)
        assert changes(before, after) == {}


async def state(company: Company, look: Look) -> Fingerprint:
    """All rows of a company but logs; versions and times of change, which never go back, left out."""
    found = await fingerprint(look.connection, company.tenant_id, without=("version", "updated_at"))
    return {table: value for table, value in found.items() if table not in LOGS}


def merge_body(records: Sequence[Json], **fields: Any) -> Json:
    """A request to merge records as they were read; the first one survives unless something else is said."""
    if not {"master_id", "master_rule"} & fields.keys():
        fields["master_id"] = records[0]["id"]
    return {"records": [{"id": r["id"], "version": r["version"]} for r in records], **fields}


async def merge(client: Client, plural: str, records: Sequence[Json], **fields: Any) -> Json:
    """Merge records; it must succeed."""
    made: Json = await client.ok("POST", f"/v1/{plural}/merge", json=merge_body(records, **fields))
    return made


async def undo(client: Client, merged: Json) -> Json:
    """Take a merge back; it must succeed."""
    made: Json = await client.ok("POST", f"/v1/merges/{merged['merge']['id']}/undo")
    return made


async def accounts(owner: Client, *names: str, **fields: Any) -> list[Json]:
    return [await make(owner, "accounts", name=name, **fields) for name in names]


async def fill_account(owner: Client, account: Json, member_id: str) -> dict[str, Json]:
    """Something of every kind that refers to an account."""
    name, id = account["name"], account["id"]
    contact = await make(owner, "contacts", name=f"Boss of {name}", account_id=id, role="decision_maker")
    free = await make(owner, "contacts", name=f"Adviser of {name}")
    await owner.ok("PUT", f"/v1/contacts/{free['id']}/roles/{id}", json={"role": "influencer"}, if_match=1)
    about = [{"object": "account", "record_id": id}]
    found = {
        "contact": contact,
        "adviser": free,
        "child": await make(owner, "accounts", name=f"Child of {name}", parent_id=id),
        "opportunity": await make(owner, "opportunities", name=f"Deal of {name}", account_id=id),
        "task": await make(owner, "activities", kind="task", subject=f"Call {name}", about=about),
        "share": await owner.ok(
            "POST", f"/v1/accounts/{id}/shares", json={"member_id": member_id, "access": "write"}
        ),
        "consent": await owner.ok(
            "POST",
            f"/v1/accounts/{id}/consents",
            json={"channel": "email", "status": "granted", "source": f"fair of {name}"},
        ),
    }
    lead = await make(owner, "leads", name=f"Lead of {name}", company=name)
    plan = {"account": {"id": id}, "contact": {"create": {"name": f"New in {name}"}}}
    await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json=plan, if_match=1)
    found["lead"] = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    return found


async def orphans(company: Company, look: Look) -> Json:
    """Live rows that name an account or contact which is not there, by column."""
    found = {}
    for table, column, target in (
        ("customers.accounts", "parent_id", "customers.accounts"),
        ("customers.contacts", "account_id", "customers.accounts"),
        ("customers.contacts", "reports_to_id", "customers.contacts"),
        ("opportunities.opportunities", "account_id", "customers.accounts"),
        ("opportunities.opportunities", "contact_id", "customers.contacts"),
    ):
        found[f"{table}.{column}"] = await look.value(
            f"SELECT count(*) FROM {table} t WHERE tenant_id = $1 AND deleted_at IS NULL AND {column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {target} a WHERE a.tenant_id = $1 AND a.id = t.{column}"
            " AND a.deleted_at IS NULL)",
            company.tenant_id,
        )
    for table in ("activities.links", "kernel.shares", "customers.consents"):
        found[table] = await look.value(
            f"SELECT count(*) FROM {table} t WHERE tenant_id = $1 AND object = 'account' AND NOT EXISTS ("
            " SELECT 1 FROM customers.accounts a WHERE a.tenant_id = $1 AND a.id = t.record_id"
            " AND a.deleted_at IS NULL)",
            company.tenant_id,
        )
    return {name: count for name, count in found.items() if count}
