"""Giving accounts and leads to somebody else with their open work, or without; all or nothing."""

from __future__ import annotations

from uuid import uuid4

from tests.merging.support import Json, Unchanged, accounts
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague


async def company_of_work(owner: Client) -> tuple[Json, dict[str, str]]:
    """An account and, by address, what hangs on it."""
    (account,) = await accounts(owner, "Acme")
    contact = await make(owner, "contacts", name="Ann", account_id=account["id"])
    won = await make(owner, "opportunities", name="Old deal", account_id=account["id"])
    await owner.ok("POST", f"/v1/opportunities/{won['id']}/win", json={}, if_match=1)
    deal = await make(owner, "opportunities", name="Deal", account_id=account["id"])

    async def task(about: str, id: str, status: str = "open") -> str:
        made = await make(
            owner,
            "activities",
            kind="task",
            subject="Do it",
            status=status,
            about=[{"object": about, "record_id": id}],
        )
        return f"/v1/activities/{made['id']}"

    return account, {
        "contact": f"/v1/contacts/{contact['id']}",
        "deal": f"/v1/opportunities/{deal['id']}",
        "won": f"/v1/opportunities/{won['id']}",
        "task": await task("account", account["id"]),
        "done": await task("account", account["id"], "done"),
        "task of contact": await task("contact", contact["id"]),
        "task of deal": await task("opportunity", deal["id"]),
    }


async def owners(owner: Client, paths: dict[str, str]) -> dict[str, str]:
    return {name: (await owner.ok("GET", path))["owner_id"] for name, path in paths.items()}


async def test_open_work_people_and_opportunities_go_along(company: Company, owner: Client, look: Look):
    account, paths = await company_of_work(owner)
    member = (await colleague(company, look)).facts["member_id"]
    body = {"ids": [account["id"]], "owner_id": member, "reason": "New territory"}
    answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
    assert answer["went_along"] == {"activity": 3, "contact": 1, "opportunity": 1}
    mine = str(company.member_id)
    assert await owners(owner, paths) == dict.fromkeys(paths, member) | {"won": mine, "done": mine}
    history = (await owner.ok("GET", f"/v1/accounts/{account['id']}/history"))["data"][0]
    assert (history["action"], history["reason"]) == ("transferred", "New territory")
    entry = (await owner.ok("GET", f"{paths['deal']}/history"))["data"][0]
    assert (entry["action"], entry["changes"]["owner_id"]) == ("transferred", [mine, member])
    assert (await owner.ok("GET", paths["deal"]))["version"] == 2


async def test_without_its_open_work_only_the_account_goes(company: Company, owner: Client, look: Look):
    account, paths = await company_of_work(owner)
    member = (await colleague(company, look)).facts["member_id"]
    body = {"ids": [account["id"]], "owner_id": member, "with_open_work": False}
    answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
    assert (answer["transferred"], answer["went_along"]) == ([account["id"]], {})
    assert set((await owners(owner, paths)).values()) == {str(company.member_id)}


async def test_a_leads_open_activities_go_along(company: Company, owner: Client, look: Look):
    member = (await colleague(company, look)).facts["member_id"]
    lead = await make(owner, "leads", name="Ann")
    about = [{"object": "lead", "record_id": lead["id"]}]
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    answer = await owner.ok("POST", "/v1/leads/transfer", json={"ids": [lead["id"]], "owner_id": member})
    assert answer["went_along"] == {"activity": 1}
    assert (await owner.ok("GET", f"/v1/activities/{task['id']}"))["owner_id"] == member


async def test_what_is_not_ones_to_give_stops_the_whole_transfer(
    company: Company, owner: Client, look: Look, unchanged: Unchanged
):
    account, _ = await company_of_work(owner)
    grants = {
        f"{name}:{action}": "all"
        for name in ("account", "contact", "opportunity")
        for action in ("read", "assign")
    }
    member = (await colleague(company, look)).facts["member_id"]
    give = {"ids": [account["id"]], "owner_id": member}
    client = owner
    for lacking in ("contact", "opportunity"):
        for scope in ("own", None):
            given = {name: value for name, value in grants.items() if name != f"{lacking}:assign"}
            given |= {f"{lacking}:assign": scope} if scope else {}
            body = {"name": f"R{uuid4().hex}", "grants": given}
            role = await owner.ok("POST", "/v1/roles", json=body)
            client = await colleague(company, look, "viewer", role_ids=[role["id"]])
            async with unchanged():
                answer = await client.post("/v1/accounts/transfer", json=give)
            assert (answer.status_code, answer.json()["permission"]) == (403, f"{lacking}:assign")
    alone = await client.ok("POST", "/v1/accounts/transfer", json=give | {"with_open_work": False})
    assert alone["transferred"] == [account["id"]]


async def test_the_number_of_statements_does_not_grow_with_the_work(
    company: Company, owner: Client, look: Look
):
    from app.kernel.schemas import TransferRequest
    from app.kernel.sharing import transfer
    from app.modules.customers.services.accounts import AccountService
    from tests.modules.support import acting

    member = (await colleague(company, look)).facts["member_id"]
    spent = []
    for size in (1, 40):
        (account,) = await accounts(owner, "Acme")
        for plural, fields in (
            ("contacts", {"name": "Ann", "account_id": account["id"]}),
            ("opportunities", {"name": "Deal", "account_id": account["id"]}),
        ):
            body = {"items": [{"record": fields}] * size}
            await owner.ok("POST", f"/v1/{plural}/batch/create", json=body)
        async with acting(company) as uow:
            request = TransferRequest.model_validate({"ids": [account["id"]], "owner_id": member})
            answer = await transfer(AccountService(uow), request)
            await uow.flush()
            spent.append(uow.statements)
        assert answer.went_along == {"contact": size, "opportunity": size}
    assert spent[0] == spent[1]
