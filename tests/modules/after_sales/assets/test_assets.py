"""Assets: how they come about, what was promised for them, and what cases copy."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.imports.rules import ImportOptions, ImportRow
from app.modules.after_sales.services.assets.assets import AssetService
from app.modules.after_sales.services.assets.warranties import covers, last_day
from tests.modules.after_sales.assets.things import Worker, asset_of, listed, now, send, sold
from tests.modules.after_sales.cases.cases import case_of
from tests.modules.orders.orders import product
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

Json = dict[str, Any]
WARRANTY = ("warranty_starts_on", "warranty_ends_on", "warranty_terms")


def warranty(asset: Json) -> tuple[Any, ...]:
    return tuple(asset[name] for name in WARRANTY)


async def test_each_serial_number_that_is_shipped_becomes_an_asset_once(
    company: Company, owner: Client, account: Json, worker: Worker, clock: FixedClock
) -> None:
    goods, order = await sold(owner, account, ["S-1", "S-2"], name="Pump", warranty_months=6)
    await worker.relay()
    found = await listed(owner, "assets?sort=serial_number")
    assert [one["serial_number"] for one in found] == ["S-1", "S-2"]
    assert {one["order_line_id"] for one in found} == {order["lines"][0]["id"]}
    first = found[0]
    assert (first["name"], first["status"], first["bought_on"]) == ("Pump", "installed", "2026-03-02")
    assert (first["product_id"], first["account_id"], first["order_id"]) == (
        goods["id"],
        account["id"],
        order["id"],
    )
    assert (first["owner_id"], warranty(first)) == (
        account["owner_id"],
        ("2026-03-02", "2026-09-02", None),
    )
    history = await listed(owner, f"assets/{first['id']}/history")
    assert [(entry["action"], entry["actor_kind"]) for entry in history] == [("created", "system")]


async def test_a_serial_number_that_is_known_stays_as_it_is(
    company: Company, owner: Client, account: Json, worker: Worker
) -> None:
    goods = await product(owner)
    mine = await asset_of(owner, product_id=goods["id"], serial_number="S-1", location="Pier 4")
    answer = await owner.post(
        "/v1/assets", json={"name": "Other", "product_id": goods["id"], "serial_number": "S-1"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/serial_number")
    await asset_of(owner, product_id=(await product(owner))["id"], serial_number="S-1")
    assert await count(company, "after_sales.assets") == 2
    assert await now(owner, "assets", mine) == mine


async def test_what_is_not_serialised_becomes_no_asset(
    company: Company, owner: Client, account: Json, worker: Worker
) -> None:
    goods = await product(owner, stocked=False)
    order = await make(
        owner, "orders", account_id=account["id"], lines=[{"product_id": goods["id"], "quantity": "1"}]
    )
    await owner.ok("POST", f"/v1/orders/{order['id']}/confirm", if_match=order["version"])
    await owner.ok("POST", f"/v1/orders/{order['id']}/shipments", json={})
    await worker.relay()
    assert await count(company, "after_sales.assets") == 0


async def test_terms_of_the_product_are_promised_when_the_asset_is_made_and_kept(owner: Client) -> None:
    goods = await product(owner, warranty_months=6)
    term = await make(owner, "warranty-terms", product_id=goods["id"], months=24, coverage="On site")
    asset = await asset_of(owner, product_id=goods["id"], bought_on="2024-02-29", name=None)
    assert (asset["name"], warranty(asset)) == ("Pump", ("2024-02-29", "2026-02-28", "On site"))
    await owner.ok("PATCH", f"/v1/warranty-terms/{term['id']}", json={"months": 1}, if_match=1)
    assert await now(owner, "assets", asset) == asset
    own = await asset_of(
        owner,
        product_id=goods["id"],
        bought_on="2024-02-29",
        warranty_ends_on="2030-01-01",
        warranty_terms="All",
    )
    assert warranty(own) == ("2024-02-29", "2030-01-01", "All")
    again = await owner.post(
        "/v1/warranty-terms", json={"product_id": goods["id"], "months": 1, "coverage": "x"}
    )
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_value")


@pytest.mark.parametrize(
    ("on", "covered", "left"),
    [
        ("2026-02-28", False, None),
        ("2026-03-01", True, 365),
        ("2027-03-01", True, 0),
        ("2027-03-02", False, None),
    ],
)
async def test_both_days_of_a_warranty_belong_to_it(
    owner: Client, on: str, covered: bool, left: int | None
) -> None:
    asset = await asset_of(owner, warranty_starts_on="2026-03-01", warranty_ends_on="2027-03-01")
    found = await owner.ok("GET", f"/v1/assets/{asset['id']}/warranty?on={on}")
    assert (found["covered"], found["days_left"], found["on"]) == (covered, left, on)


@given(st.dates(date(1990, 1, 1), date(2080, 1, 1)), st.integers(1, 1200), st.integers(-40_000, 40_000))
def test_a_warranty_covers_exactly_the_days_from_its_first_to_its_last(
    starts: date, months: int, days: int
) -> None:
    ends = last_day(starts, months)
    on = starts + timedelta(days=days)
    assert covers(starts, ends, on) == (0 <= days <= (ends - starts).days)
    assert 28 * months <= (ends - starts).days <= 31 * months
    assert not covers(starts, None, on)


async def test_a_case_copies_the_warranty_of_its_asset(
    owner: Client, account: Json, clock: FixedClock
) -> None:
    goods = await product(owner)
    await make(owner, "warranty-terms", product_id=goods["id"], months=12, coverage="Parts")
    asset = await asset_of(owner, product_id=goods["id"], account_id=account["id"], bought_on="2025-06-01")
    case = await case_of(owner, asset_id=asset["id"])
    assert (case["account_id"], case["product_id"]) == (account["id"], goods["id"])
    assert case["warranty"] == {
        "source": "asset",
        "source_id": asset["id"],
        "name": "Pump 7",
        "starts_on": "2025-06-01",
        "ends_on": "2026-06-01",
        "covered": True,
        "terms": "Parts",
    }
    await owner.ok("PATCH", f"/v1/assets/{asset['id']}", json={"warranty_ends_on": None}, if_match=1)
    assert (await owner.ok("GET", f"/v1/cases/{case['id']}"))["warranty"] == case["warranty"]


@pytest.mark.parametrize("field", ["account_id", "contact_id", "product_id", "order_id"])
async def test_what_an_asset_names_must_be_there(company: Company, owner: Client, field: str) -> None:
    answer = await owner.post("/v1/assets", json={"name": "Pump", field: str(uuid4())})
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        (f"/{field}", "unknown_reference")
    ]
    assert await count(company, "after_sales.assets") == 0


async def test_warranty_dates_must_be_in_order(company: Company, owner: Client) -> None:
    for fields, pointer in (
        ({"warranty_ends_on": "2026-01-01"}, "/warranty_starts_on"),
        ({"warranty_ends_on": "2026-01-01", "warranty_starts_on": "2026-01-02"}, "/warranty_ends_on"),
        ({"name": None}, "/name"),
        ({"order_line_id": str(uuid4())}, "/order_line_id"),
    ):
        answer = await owner.post("/v1/assets", json={"name": "Pump"} | fields)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await count(company, "after_sales.assets") == 0


async def test_an_asset_that_is_spoken_of_is_not_deleted(
    company: Company, owner: Client, account: Json
) -> None:
    asset = await asset_of(owner, account_id=account["id"])
    await case_of(owner, asset_id=asset["id"])
    await make(owner, "work-orders", subject="Look", asset_id=asset["id"])
    answer = await owner.request("DELETE", f"/v1/assets/{asset['id']}", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (409, "asset_in_use")
    assert answer.json()["used_by"] == {"cases": 1, "work_orders": 1}
    assert await count(company, "after_sales.assets") == 1
    gone = await owner.request("DELETE", f"/v1/accounts/{account['id']}", headers={"If-Match": '"1"'})
    assert (gone.status_code, gone.json()["used_by"]) == (409, {"assets": 1, "cases": 1, "work_orders": 1})
    assert await count(company, "customers.accounts") == 1


async def test_an_accounts_view_counts_its_assets(owner: Client, account: Json, clock: FixedClock) -> None:
    await asset_of(
        owner, account_id=account["id"], warranty_starts_on="2026-01-01", warranty_ends_on="2026-12-31"
    )
    await asset_of(owner, account_id=account["id"], status="retired")
    found = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    assert found["panels"]["assets"] == {"by_status": {"installed": 1, "retired": 1}, "under_warranty": 1}


async def test_a_merge_of_accounts_takes_assets_and_service_along(owner: Client, account: Json) -> None:
    other = await make(owner, "accounts", name="Harbor Pumps")
    asset = await asset_of(owner, account_id=other["id"])
    body = {
        "records": [{"id": account["id"], "version": 1}, {"id": other["id"], "version": 1}],
        "master_id": account["id"],
    }
    await owner.ok("POST", "/v1/accounts/merge", json=body)
    assert (await now(owner, "assets", asset))["account_id"] == account["id"]


async def test_a_file_names_accounts_and_products_and_gets_their_warranty(
    company: Company, owner: Client, account: Json
) -> None:
    goods = await product(owner, code="P-1", warranty_months=12)
    cells: list[tuple[dict[str, Any], dict[str, str]]] = [
        (
            {"serial_number": "1", "bought_on": date(2026, 1, 1)},
            {"account": "harbour pumps", "product": "P-1"},
        ),
        ({"name": "Valve"}, {"account": "Nobody"}),
        ({"serial_number": "3"}, {}),
    ]
    rows = [ImportRow(n, n, [], values=values, extras=extras) for n, (values, extras) in enumerate(cells)]
    async with acting(company) as uow:
        await AssetService(uow).prepare_import(rows, ImportOptions(mode="create"))
    assert [[fault.code for fault in row.faults] for row in rows] == [[], ["unknown_reference"], ["required"]]
    values = rows[0].values
    assert (values["name"], values["account_id"], values["product_id"]) == (
        "Pump",
        UUID(account["id"]),
        UUID(goods["id"]),
    )
    assert (values["warranty_starts_on"], values["warranty_ends_on"]) == (date(2026, 1, 1), date(2027, 1, 1))


async def test_lists_take_a_fixed_number_of_statements(
    company: Company, owner: Client, account: Json
) -> None:
    asset = await asset_of(owner, account_id=account["id"])
    await send(owner, asset, ("2026-01-01T00:00:00Z", 1.0))
    async with acting(company) as uow:
        service = AssetService(uow)
        before = uow.statements
        await service.get_many([UUID(asset["id"])] * 50)
        assert uow.statements - before == 1


async def test_a_return_and_its_case_know_each_other(
    company: Company, owner: Client, account: Json, worker: Worker, rival: Company
) -> None:
    _, order = await sold(owner, account, ["S-1", "S-2"])
    await worker.relay()
    asset = (await listed(owner, "assets?serial_number=S-2"))[0]
    case = await case_of(
        owner, asset_id=asset["id"], order_id=order["id"], order_line_id=order["lines"][0]["id"]
    )
    made = await owner.ok("POST", f"/v1/cases/{case['id']}/returns", json={})
    assert (made["status"], made["order_id"], made["account_id"]) == ("requested", order["id"], account["id"])
    assert await listed(owner, f"cases/{case['id']}/returns") == [made]
    found = await owner.ok("GET", f"/v1/returns/{made['id']}")
    assert (found["case_id"], found["reason"]) == (case["id"], "The pump leaks")
    assert [(line["quantity"], line["serial_numbers"]) for line in found["lines"]] == [("1", ["S-2"])]
    assert [one["id"] for one in await listed(owner, f"returns?case_id={case['id']}")] == [made["id"]]
    assert [entry["action"] for entry in await listed(owner, f"cases/{case['id']}/history")] == [
        "return_opened",
        "created",
    ]
    too_much = await owner.post(
        f"/v1/cases/{case['id']}/returns",
        json={"lines": [{"order_line_id": order["lines"][0]["id"], "quantity": "2"}]},
    )
    assert (too_much.status_code, too_much.json()["code"]) == (409, "return_too_large")
    assert (await rival.owner.get(f"/v1/cases/{case['id']}/returns")).status_code == 404
    other = await case_of(owner)
    assert (await owner.post(f"/v1/cases/{other['id']}/returns", json={})).status_code == 422
    assert await count(company, "orders.returns") == 1
    work = await make(owner, "work-orders", subject="Look", case_id=case["id"])
    version = (await owner.ok("GET", f"/v1/cases/{case['id']}"))["version"]
    both = [{"id": case["id"], "version": version}, {"id": other["id"], "version": 1}]
    await owner.ok("POST", "/v1/cases/merge", json={"records": both, "master_id": other["id"]})
    assert (await now(owner, "work-orders", work))["case_id"] == other["id"]
    assert (await owner.ok("GET", f"/v1/returns/{made['id']}"))["case_id"] == other["id"]
