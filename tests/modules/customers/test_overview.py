"""The 360° view of an account."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from app.kernel.registry import Module
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import TimelineSource
from app.modules.customers.interface import AccountPanel
from app.modules.customers.services.accounts import AccountService
from app.modules.customers.services.consents import consent_history
from app.modules.customers.services.contacts import ContactService
from app.modules.customers.services.overview import account_overview
from tests.modules.support import acting, actor_of, make, subject_id
from tests.support.api import Client, Company, running, sign_up


class Points:
    """A panel of a module that exists in this test only."""

    name = "points"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> dict[UUID, int]:
        rows = await self._uow.fetch("SELECT unnest($1::uuid[]) AS id", list(account_ids))
        return {row["id"]: 42 for row in rows}


POINTS = Module(name="points", ports=((AccountPanel, Points),))


async def test_one_call_shows_an_account_from_all_sides(owner: Client):
    top = await make(owner, "accounts", name="Acme Holding")
    acme = await make(owner, "accounts", name="Acme", parent_id=top["id"])
    await make(owner, "accounts", name="Acme Leeds", parent_id=acme["id"])
    await make(owner, "contacts", name="Ada", account_id=acme["id"], role="champion")
    about = [{"object": "account", "record_id": acme["id"]}]
    await make(owner, "activities", kind="task", subject="Later", due_at="2031-01-02T00:00:00Z", about=about)
    await make(owner, "activities", kind="task", subject="First", due_at="2031-01-01T00:00:00Z", about=about)
    seen = await owner.ok("GET", f"/v1/accounts/{acme['id']}/overview")
    assert seen["account"] == acme
    assert seen["owner_name"] == "Olivia Owner"
    assert (seen["parent"], seen["children"]) == ({"id": top["id"], "name": "Acme Holding"}, 1)
    assert [member["contact"]["name"] for member in seen["committee"]["members"]] == ["Ada"]
    assert seen["next_activity"]["subject"] == "First"
    assert [line["title"] for line in seen["timeline"]] == ["First", "Later", "Created"]
    assert (await owner.get(f"/v1/accounts/{top['id'][:-4]}0000/overview")).status_code == 404


async def test_what_a_role_hides_is_in_no_view_of_an_account(owner: Client, company: Company):
    top = await make(owner, "accounts", name="Acme Holding")
    acme = await make(owner, "accounts", name="Acme", parent_id=top["id"])
    await make(owner, "accounts", name="Acme Leeds", parent_id=acme["id"])
    ada = await make(owner, "contacts", name="Ada", account_id=acme["id"], role="champion")
    said = {"channel": "email", "status": "denied", "source": "Telephone"}
    await owner.ok("POST", f"/v1/contacts/{ada['id']}/consents", json=said)
    everything = await actor_of(company)
    boss = replace(
        everything,
        hidden_fields={
            "account": frozenset({"parent_id", "owner_id", "lifecycle_stage"}),
            "contact": frozenset({"role", "consents"}),
        },
    )
    partly = replace(everything, hidden_fields={"account": frozenset({"owner_id", "lifecycle_stage"})})
    async with acting(company, boss) as uow:
        seen = await account_overview(uow, subject_id(acme))
        alone = (await AccountService(uow).hierarchy(subject_id(acme))).nodes
        parts = await ContactService(uow).roles(subject_id(ada))
        said_before = await consent_history(ContactService(uow), subject_id(ada))
    assert (seen["parent"], seen["owner_name"], seen["children"]) == (None, None, 0)
    assert [node.model_dump() for node in alone] == [
        {
            "id": subject_id(acme), "name": "Acme", "parent_id": None, "depth": 0, "lifecycle_stage": None,
            "owner_id": None,
        }
    ]  # fmt: skip
    assert ([(part.account.name, part.role) for part in parts], said_before) == ([("Acme", None)], [])
    async with acting(company, partly) as uow:
        nodes = (await AccountService(uow).hierarchy(subject_id(acme))).nodes
    assert [(node.name, node.depth) for node in nodes] == [
        ("Acme Holding", 0),
        ("Acme", 1),
        ("Acme Leeds", 2),
    ]
    assert {(node.lifecycle_stage, node.owner_id) for node in nodes} == {(None, None)}


async def test_each_module_shows_its_panel_at_one_statement_each(worker_database: str, tmp_path: Path):
    async with running(worker_database, tmp_path, (POINTS,)) as app:
        company: Company = await sign_up(app)
        account = await make(company.owner, "accounts", name="Acme")
        async with acting(company) as uow:
            before = uow.statements
            seen = await account_overview(uow, subject_id(account))
            ports = len(uow.ports(AccountPanel)) + len(uow.ports(TimelineSource))
            # account, family, next activity, owner's name, committee, activities and changes of the timeline
            assert uow.statements - before <= 7 + ports
        assert seen["panels"]["points"] == 42
        await company.owner.http.aclose()
