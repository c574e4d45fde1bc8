"""Competitors: who is after the same deal, who won it, and how we fare against each."""

from __future__ import annotations

from typing import Any

from app.kernel.access import Scope
from app.kernel.listing import Query
from app.modules.opportunities.services.rivals import RivalService
from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import again, money, pointers
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of
from tests.tenants.people import colleague as hired


async def meet(
    client: Client, deal: dict[str, Any], competitor: dict[str, Any], **more: Any
) -> dict[str, Any]:
    body = {"competitor_id": competitor["id"]} | more
    found: dict[str, Any] = await client.ok("POST", f"/v1/opportunities/{deal['id']}/competitors", json=body)
    return found


async def test_a_competitor_is_met_with_threat_and_price(owner: Client) -> None:
    acme, bolt = [await make(owner, "competitors", name=name, strengths="Cheap") for name in ("Acme", "Bolt")]
    deal = await make(owner, "opportunities", name="A")
    await meet(owner, deal, acme, threat_level="low")
    met = await meet(owner, deal, bolt, threat_level="high", price=money("90.00", "EUR"), note="Incumbent")
    path = f"/v1/opportunities/{deal['id']}/competitors"
    assert [(one["competitor_name"], one["threat_level"]) for one in (await owner.ok("GET", path))["data"]] == [
        ("Bolt", "high"), ("Acme", "low"),
    ]  # fmt: skip
    twice = await owner.post(path, {"competitor_id": acme["id"]})
    assert code_of(twice) == (409, "duplicate_value")
    changed = await owner.ok(
        "PATCH", f"{path}/{met['id']}", json={"threat_level": "medium", "price": None}, if_match=1
    )
    assert (changed["threat_level"], changed["price"], changed["note"]) == ("medium", None, "Incumbent")
    assert code_of(await owner.delete(f"{path}/{met['id']}", if_match=1)) == (412, "stale_version")
    await owner.ok("DELETE", f"{path}/{met['id']}", if_match=2)
    assert [one["competitor_name"] for one in (await owner.ok("GET", path))["data"]] == ["Acme"]


async def test_losing_names_the_winner_who_was_met_in_it_then(owner: Client) -> None:
    acme = await make(owner, "competitors", name="Acme")
    deal = await make(owner, "opportunities", name="A")
    path = f"/v1/opportunities/{deal['id']}"
    lost = await owner.ok(
        "POST", f"{path}/lose", json={"loss_reason": "price", "winning_competitor_id": acme["id"]}, if_match=1
    )
    assert lost["winning_competitor_id"] == acme["id"]
    rivals = (await owner.ok("GET", f"{path}/competitors"))["data"]
    assert [(one["competitor_name"], one["threat_level"], one["won"]) for one in rivals] == [
        ("Acme", "high", True)
    ]
    back = await owner.ok("POST", f"{path}/reopen", if_match=lost["version"])
    assert back["winning_competitor_id"] is None
    refused = await owner.patch(path, {"winning_competitor_id": acme["id"]}, if_match=back["version"])
    assert pointers(refused) == [("/winning_competitor_id", "not_lost")]
    assert await again(owner, deal) == back


async def test_unknown_and_foreign_competitors_are_refused(owner: Client, rival: Company) -> None:
    theirs = await make(rival.owner, "competitors", name="Theirs")
    deal = await make(owner, "opportunities", name="A")
    path = f"/v1/opportunities/{deal['id']}"
    met = await owner.post(f"{path}/competitors", {"competitor_id": theirs["id"]})
    assert pointers(met) == [("/competitor_id", "unknown_reference")]
    lost = await owner.post(
        f"{path}/lose", {"loss_reason": "price", "winning_competitor_id": theirs["id"]}, if_match=1
    )
    assert pointers(lost) == [("/winning_competitor_id", "unknown_reference")]
    assert await again(owner, deal) == deal


async def test_a_competitor_that_opportunities_name_stays(company: Company, owner: Client) -> None:
    acme = await make(owner, "competitors", name="Acme")
    deal = await make(owner, "opportunities", name="A")
    await meet(owner, deal, acme)
    refused = await owner.delete(f"/v1/competitors/{acme['id']}", if_match=1)
    assert (code_of(refused), refused.json()["opportunities"]) == ((409, "competitor_in_use"), 1)
    assert await count(company, "opportunities.competitors") == 1
    await owner.ok("DELETE", f"/v1/opportunities/{deal['id']}", if_match=1)
    await owner.ok("DELETE", f"/v1/competitors/{acme['id']}", if_match=1)


async def closed(
    owner: Client, competitors: dict[str, dict[str, Any]], fate: str, *met: str, **more: Any
) -> None:
    """A deal in which these were met, won by us (`won`), open, or lost to one of them or to nobody."""
    deal = await make(owner, "opportunities", name=f"{fate} {met}", **more)
    for name in met:
        await meet(owner, deal, competitors[name])
    path = f"/v1/opportunities/{deal['id']}"
    if fate == "won":
        await owner.ok("POST", f"{path}/win", if_match=1)
    elif fate != "open":
        winner = competitors[fate]["id"] if fate in competitors else None
        body = {"loss_reason": "price", "winning_competitor_id": winner}
        await owner.ok("POST", f"{path}/lose", json=body, if_match=1)


async def test_win_rates_count_what_was_met_won_and_lost_to_each(owner: Client) -> None:
    known = {name: await make(owner, "competitors", name=name) for name in ("Acme", "Bolt", "Calm")}
    await closed(owner, known, "won", "Acme", "Bolt")
    await closed(owner, known, "won", "Acme", source="web")
    await closed(owner, known, "Acme", "Acme", "Bolt")
    await closed(owner, known, "nobody", "Acme")
    await closed(owner, known, "open", "Calm")
    rates = (await owner.ok("GET", "/v1/competitors/win-rates"))["data"]
    names = ("competitor_name", "met", "open", "won", "lost", "lost_to_them", "win_rate")
    assert [tuple(rate[name] for name in names) for rate in rates] == [
        ("Acme", 4, 0, 2, 2, 1, 0.6667),
        ("Bolt", 2, 0, 1, 1, 0, 1.0),
        ("Calm", 1, 1, 0, 0, 0, None),
    ]
    web = (await owner.ok("GET", "/v1/competitors/win-rates?source=web"))["data"]
    assert [tuple(rate[name] for name in names) for rate in web] == [("Acme", 1, 0, 1, 0, 0, 1.0)]
    unknown = await owner.get("/v1/competitors/win-rates?colour=red")
    assert code_of(unknown) == (400, "invalid_filter")


async def test_win_rates_are_of_what_one_sees_in_few_statements(company: Company, owner: Client) -> None:
    known = {"Acme": await make(owner, "competitors", name="Acme")}
    await closed(owner, known, "won", "Acme")
    stranger = colleague(await actor_of(company), opportunity_read=Scope.OWN, competitor_read=Scope.ALL)
    for actor, met in ((None, [1]), (stranger, [])):
        async with acting(company, actor) as uow:
            before = uow.statements
            rates = await RivalService(uow).win_rates(Query())
            assert [rate.met for rate in rates.data] == met
            assert uow.statements - before <= 2


async def test_win_rates_tell_nothing_to_whom_outcomes_are_hidden(
    company: Company, owner: Client, look: Look
) -> None:
    rules = {"opportunity": {"hidden": ["winning_competitor_id"]}}
    grants = {"opportunity:read": "all", "competitor:read": "all"}
    role = await owner.ok("POST", "/v1/roles", json={"name": "Blind", "grants": grants, "field_rules": rules})
    spy = await hired(company, look, "viewer", role_ids=[role["id"]])
    assert code_of(await spy.get("/v1/competitors/win-rates")) == (403, "forbidden")


async def test_everybody_who_sells_reads_competitors_and_viewers_change_none(
    company: Company, owner: Client, hire: Hire
) -> None:
    acme = await make(owner, "competitors", name="Acme")
    seller, viewer = await hire(), await hire("viewer")
    changed = await seller.ok(
        "PATCH", f"/v1/competitors/{acme['id']}", json={"weaknesses": "Slow"}, if_match=1
    )
    assert (await viewer.ok("GET", f"/v1/competitors/{acme['id']}"))["weaknesses"] == "Slow"
    refused = await viewer.patch(f"/v1/competitors/{acme['id']}", {"weaknesses": None}, if_match=2)
    assert code_of(refused) == (403, "forbidden")
    assert await owner.ok("GET", f"/v1/competitors/{acme['id']}") == changed
