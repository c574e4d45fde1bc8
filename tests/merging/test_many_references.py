"""What hangs on a record by the thousand moves in linear time, whatever PostgreSQL knew of the table when it planned."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from tests.merging.support import Json, accounts, merge
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

MANY = 5_000
_AGAIN = "SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).*"


async def test_thousands_of_deals_go_along_with_a_merge(owner: Client, look: Look) -> None:
    first, second, third = await accounts(owner, "Acme", "Bolt", "Cord")
    deal = await make(owner, "opportunities", name="Deal", account_id=first["id"])
    few = await accounts(owner, "Dyer", "Ernst")
    await make(owner, "opportunities", name="Deal", account_id=few[1]["id"])
    await merge(owner, "accounts", few)  # which plans it for one
    await look.run(
        f"INSERT INTO opportunities.opportunities {_AGAIN} FROM opportunities.opportunities t, generate_series(2, {MANY})"
        " WHERE t.id = $1",
        deal["id"],
    )

    async def merged(master: Json, other: Json) -> None:
        done = await merge(owner, "accounts", [master, other])
        assert done["merge"]["moved"]["opportunities"] == MANY

    unknown = await seconds(lambda: merged(second, first))
    await look.run("ANALYZE opportunities.opportunities")
    second = await owner.ok("GET", f"/v1/accounts/{second['id']}")
    assert unknown < 4 * await seconds(lambda: merged(third, second))


async def test_thousands_of_open_tasks_go_along_with_a_transfer(
    company: Company, owner: Client, look: Look
) -> None:
    (account,) = await accounts(owner, "Acme")
    about = [{"object": "account", "record_id": account["id"]}]
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    people = [(await colleague(company, look)).facts["member_id"] for _ in range(3)]

    async def transferred(member: str, tasks: int) -> None:
        body = {"ids": [account["id"]], "owner_id": member}
        answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
        assert answer["went_along"]["activity"] == tasks

    await transferred(people[0], 1)  # plans are made for one
    await look.run(
        f"INSERT INTO activities.activities {_AGAIN} FROM activities.activities t, generate_series(2, {MANY})"
        " WHERE t.id = $1",
        task["id"],
    )
    await look.run(
        "INSERT INTO activities.links SELECT (jsonb_populate_record(l, jsonb_build_object("
        "'id', gen_random_uuid(), 'activity_id', a.id))).*"
        " FROM activities.links l, activities.activities a"
        " WHERE l.activity_id = $1 AND a.tenant_id = l.tenant_id AND a.id <> $1",
        task["id"],
    )
    unknown = await seconds(lambda: transferred(people[1], MANY))
    await look.run("ANALYZE activities.activities")
    await look.run("ANALYZE activities.links")
    assert unknown < 4 * await seconds(lambda: transferred(people[2], MANY))


async def test_thousands_of_invitations_go_along_with_a_merge(owner: Client, look: Look) -> None:
    first, second, third, *few = [
        await make(owner, "contacts", name=name) for name in ("A", "B", "C", "D", "E")
    ]
    await make(owner, "activities", **_MEETING, attendees=[{"object": "contact", "record_id": few[1]["id"]}])
    await merge(owner, "contacts", few)  # which plans it for one
    meeting = await make(
        owner, "activities", **_MEETING, attendees=[{"object": "contact", "record_id": first["id"]}]
    )
    await look.run(
        f"INSERT INTO activities.activities {_AGAIN} FROM activities.activities t, generate_series(2, {MANY})"
        " WHERE t.id = $1",
        meeting["id"],
    )
    await look.run(
        "INSERT INTO activities.attendees SELECT (jsonb_populate_record(d, jsonb_build_object("
        "'id', gen_random_uuid(), 'activity_id', a.id, 'token_hash', NULL))).*"
        " FROM activities.attendees d, activities.activities a"
        " WHERE d.activity_id = $1 AND a.tenant_id = d.tenant_id AND a.subject = $2 AND a.id <> $1"
        " AND NOT EXISTS (SELECT 1 FROM activities.attendees o WHERE o.activity_id = a.id)",
        meeting["id"],
        _MEETING["subject"],
    )

    async def merged(master: Json, other: Json) -> None:
        done = await merge(owner, "contacts", [master, other])
        assert done["merge"]["moved"]["invitations"] == MANY

    unknown = await seconds(lambda: merged(second, first))
    await look.run("ANALYZE activities.attendees")
    second = await owner.ok("GET", f"/v1/contacts/{second['id']}")
    assert unknown < 4 * await seconds(lambda: merged(third, second))


_MEETING = {
    "kind": "meeting",
    "subject": "Fair",
    "starts_at": "2031-03-03T09:00:00Z",
    "ends_at": "2031-03-03T10:00:00Z",
}


async def test_thousands_of_requests_for_approval_go_along_with_a_merge(
    company: Company, owner: Client, look: Look
) -> None:
    first, second, third, *few = await accounts(owner, "Acme", "Bolt", "Cord", "Dyer", "Ernst")
    await look.run("SET session_replication_role = replica")  # the requests are of no process
    await look.run(_REQUESTS, company.tenant_id, few[1]["id"], 1)
    await merge(owner, "accounts", few)  # which plans it for one
    await look.run(_REQUESTS, company.tenant_id, first["id"], MANY)

    async def merged(master: Json, other: Json) -> None:
        done = await merge(owner, "accounts", [master, other])
        assert done["merge"]["moved"]["approvals"] == MANY

    unknown = await seconds(lambda: merged(second, first))
    await look.run("ANALYZE automation.approvals")
    second = await owner.ok("GET", f"/v1/accounts/{second['id']}")
    assert unknown < 4 * await seconds(lambda: merged(third, second))


_REQUESTS = """
INSERT INTO automation.approvals SELECT (jsonb_populate_record(NULL::automation.approvals, jsonb_build_object(
  'tenant_id', $1::uuid, 'id', gen_random_uuid(), 'process_id', gen_random_uuid(), 'process_name_en', 'Discount',
  'requester_may_approve', false, 'object', 'account', 'record_id', $2::uuid, 'label', 'Acme', 'fingerprint', '',
  'status', 'approved', 'steps', '[{}]'::jsonb, 'step', 0, 'carried', '{}'::text[], 'requested_at', now(),
  'decided_at', now()))).*
FROM generate_series(1, $3::int)"""


async def test_thousands_of_contacts_that_are_merged_away_themselves_go_along_with_a_merge(
    owner: Client, look: Look
) -> None:
    first, second, third, *few = await accounts(owner, "Acme", "Bolt", "Cord", "Dyer", "Ernst")

    async def merged_away(account: Json) -> str:
        kept, gone = [
            await make(owner, "contacts", name=name, account_id=account["id"]) for name in ("A", "B")
        ]
        await merge(owner, "contacts", [kept, gone])
        return str(gone["id"])

    await merged_away(few[1])
    await merge(owner, "accounts", few)  # which plans it for one
    gone = await merged_away(first)
    await look.run(
        f"INSERT INTO customers.contacts {_AGAIN} FROM customers.contacts t, generate_series(2, {MANY}) WHERE t.id = $1",
        gone,
    )
    await look.run(
        "INSERT INTO kernel.merged_records SELECT (jsonb_populate_record(d, jsonb_build_object('record_id', c.id))).*"
        " FROM kernel.merged_records d, customers.contacts c"
        " WHERE d.record_id = $1 AND c.tenant_id = d.tenant_id AND c.account_id = $2"
        " AND c.deleted_at IS NOT NULL AND c.id <> $1",
        gone,
        first["id"],
    )

    async def merged(master: Json, other: Json) -> None:
        done = await merge(owner, "accounts", [master, other])
        assert done["merge"]["moved"]["contacts"] == 1
        there = "SELECT count(*) FROM customers.contacts WHERE account_id = $1"
        assert await look.value(there, master["id"]) == MANY + 1

    unknown = await seconds(lambda: merged(second, first))
    await look.run("ANALYZE customers.contacts")
    await look.run("ANALYZE kernel.merged_records")
    second = await owner.ok("GET", f"/v1/accounts/{second['id']}")
    assert unknown < 4 * await seconds(lambda: merged(third, second))


async def test_thousands_of_deals_go_to_who_takes_over_from_somebody_who_leaves(
    company: Company, owner: Client, look: Look
) -> None:
    leaver, *people = [(await colleague(company, look)).facts["member_id"] for _ in range(4)]
    (account,) = await accounts(owner, "Acme")
    deal = await make(owner, "opportunities", name="Deal", account_id=account["id"], owner_id=leaver)
    await look.run("ANALYZE opportunities.opportunities")

    async def handed_over(member: str, heir: str, deals: int) -> None:
        read = await owner.ok("GET", f"/v1/members/{member}")
        body = {"hand_over_to": heir}
        done = await owner.ok("POST", f"/v1/members/{member}/deactivate", json=body, if_match=read["version"])
        assert done["handed_over"] == {"opportunity": deals}

    await handed_over(leaver, people[0], 1)  # plans are made for one
    await look.run(
        f"INSERT INTO opportunities.opportunities {_AGAIN} FROM opportunities.opportunities t,"
        f" generate_series(2, {2 * MANY}) WHERE t.id = $1",
        deal["id"],
    )
    unknown = await seconds(lambda: handed_over(people[0], people[1], 2 * MANY))
    await look.run("ANALYZE opportunities.opportunities")
    assert unknown < 4 * await seconds(lambda: handed_over(people[1], people[2], 2 * MANY))


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun
