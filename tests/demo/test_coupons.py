"""The demo company's coupons: given out, used on orders, and a second load changes nothing."""

from __future__ import annotations

from app.demo.client import Api
from app.demo.coupon_loader import CouponLoader
from app.demo.loyalty_loader import LoyaltyLoader
from app.kernel.jobs import JobRunner
from tests.modules.membership.points import adds_up
from tests.support.api import Company


async def test_orders_use_the_welcome_coupon_and_members_have_their_own(company: Company) -> None:
    api = Api("http://test", company.owner.token, http=company.owner.http)
    items = [{"ref": key, "record": {"external_id": key, "name": key}} for key in ("A1", "A2", "A3")]
    made = await api.post("/v1/accounts/batch/create", {"items": items})
    accounts = {result["ref"]: result["id"] for result in made["results"]}
    await LoyaltyLoader(api, "CNY").load(accounts, since="2025-01-01")
    for _ in range(2):
        assert await CouponLoader(api, "CNY").load(list(accounts.values())) == 3
        await JobRunner(company.kernel).run_due()
    page = await api.get("/v1/coupons", sort="name")
    assert [(one["external_id"], one["codes"], one["uses"], one["spent"]["amount"]) for one in page["data"]] == [
        ("autumn", 200, 0, "0.00"),
        ("thank-you", 2, 0, "0.00"),
        ("welcome", 1, 3, "450.00"),
    ]  # fmt: skip
    orders = await api.get("/v1/orders", sort="number")
    assert [one["total"]["amount"] for one in orders["data"]] == ["720.00", "1350.00", "1980.00"]
    await adds_up(company)
