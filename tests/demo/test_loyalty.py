"""The demo company's club: its members are there before their orders, which earn, and a second load changes nothing."""

from __future__ import annotations

from app.demo.client import Api
from app.demo.loyalty_loader import LoyaltyLoader
from tests.modules.membership.points import adds_up, react
from tests.support.api import Company


async def test_members_earn_from_their_orders(company: Company) -> None:
    api = Api("http://test", company.owner.token, http=company.owner.http)
    items = [{"ref": key, "record": {"external_id": key, "name": key}} for key in ("A1", "A2", "A3")]
    made = await api.post("/v1/accounts/batch/create", {"items": items})
    accounts = {result["ref"]: result["id"] for result in made["results"]}
    for _ in range(2):
        assert await LoyaltyLoader(api, "CNY").load(accounts, since="2025-01-01") == 2
    line = {"description": "Pump", "quantity": "1", "unit_price": "60000.00"}
    order = {"account_id": accounts["A3"], "currency": "CNY", "ordered_on": "2025-02-01", "lines": [line]}
    orders = [order | {"external_id": "S1"}, order | {"external_id": "S2", "account_id": accounts["A2"]}]
    answer = await api.post("/v1/orders/batch/import", {"orders": orders})
    assert answer["created"] == 2
    await react(company)
    page = await api.get("/v1/loyalty-members", sort="external_id")
    assert [(one["external_id"], one["points"]) for one in page["data"]] == [
        ("club-A1", 0),
        ("club-A3", 6000),
    ]
    first, second = page["data"]
    assert (first["birthday"], second["birthday"]) == ("1955-01-01", "1962-06-12")
    (wallet,) = (await api.get(f"/v1/loyalty-members/{first['id']}/wallets"))["data"]
    assert (wallet["principal"]["amount"], wallet["bonus"]["amount"]) == ("1000.00", "100.00")
    (brought,) = (await api.get(f"/v1/loyalty-members/{first['id']}/referrals"))["data"]
    assert (brought["referred_id"], brought["status"]) == (second["id"], "qualified")
    await adds_up(company)
