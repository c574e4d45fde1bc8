"""What accounts and contacts show of cases, and what cases keep from happening to them."""

from __future__ import annotations

from typing import Any

from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.support import make
from tests.support.api import Company

Json = dict[str, Any]


async def test_an_account_shows_its_cases(company: Company, account: Json) -> None:
    owner = company.owner
    contact = await make(owner, "contacts", name="Ada Byron", account_id=account["id"])
    first = await case_of(owner, contact_id=contact["id"])
    second = await case_of(owner, account_id=account["id"], subject="The other pump leaks")
    await stepped(owner, second, "resolve")
    overview = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    panel = overview["panels"]["cases"]
    assert (panel["by_status"], panel["overdue"]) == ({"new": 1, "resolved": 1}, 0)
    assert [one["id"] for one in panel["newest"]] == [second["id"], first["id"]]
    for subject, expected in (
        (f"accounts/{account['id']}", ["Solved", "Case", "Case"]),
        (f"contacts/{contact['id']}", ["Case"]),
    ):
        found = await owner.ok("GET", f"/v1/{subject}/timeline?kind=case")
        assert [entry["title"].partition(" ")[0] for entry in found["data"]] == expected


async def test_an_account_or_contact_with_cases_is_not_deleted(company: Company, account: Json) -> None:
    owner = company.owner
    contact = await make(owner, "contacts", name="Ada Byron")
    await case_of(owner, contact_id=contact["id"])
    await case_of(owner, account_id=account["id"])
    for path in (f"/v1/accounts/{account['id']}", f"/v1/contacts/{contact['id']}"):
        current = await owner.ok("GET", path)
        answer = await owner.delete(path, if_match=current["version"])
        assert (answer.status_code, answer.json()["used_by"]) == (409, {"cases": 1})
        assert await owner.ok("GET", path)


async def test_unresolved_cases_go_along_with_their_account(
    company: Company, account: Json, hire: Any
) -> None:
    owner = company.owner
    colleague = (await (await hire("salesperson")).ok("GET", "/v1/me"))["member_id"]
    open_case = await case_of(owner, account_id=account["id"])
    solved = await stepped(owner, await case_of(owner, account_id=account["id"]), "resolve")
    answer = await owner.ok(
        "POST", "/v1/accounts/transfer", json={"ids": [account["id"]], "owner_id": colleague}
    )
    assert answer["went_along"]["case"] == 1
    assert (await again(owner, open_case))["owner_id"] == colleague
    assert (await again(owner, solved))["owner_id"] == solved["owner_id"]


async def test_cases_follow_their_merged_account(company: Company, account: Json) -> None:
    owner = company.owner
    other = await make(owner, "accounts", name="Harbour Pumps Ltd", country="NL")
    case = await case_of(owner, account_id=other["id"])
    both = [{"id": one["id"], "version": one["version"]} for one in (account, other)]
    await owner.ok("POST", "/v1/accounts/merge", json={"records": both, "master_id": account["id"]})
    assert (await again(owner, case))["account_id"] == account["id"]


async def test_my_cases_are_to_dos(company: Company) -> None:
    owner = company.owner
    case = await case_of(owner)
    waiting = await case_of(owner, subject="Which pump?")
    await stepped(owner, waiting, "wait-for-customer")
    found = await owner.ok("GET", "/v1/to-dos?kind=case")
    assert [(one["record_id"], one["title"], one["due_at"]) for one in found["data"]] == [
        (case["id"], "The pump leaks", None)
    ]
