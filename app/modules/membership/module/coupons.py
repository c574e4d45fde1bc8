"""Registers what membership knows of coupons."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, Permission, Schedule
from app.modules.membership.services.coupons.checks import CouponsCheck
from app.modules.membership.services.coupons.codes import KIND
from app.modules.membership.services.coupons.definitions import COUPON
from app.modules.membership.services.coupons.following import EVERY, SUBSCRIPTIONS, release_old
from app.modules.membership.services.coupons.merging import coupon_users
from app.modules.membership.services.coupons.port import MembershipBenefits
from app.modules.orders.interface import OrderBenefits

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

PART = Module(
    name="membership",
    tags={"coupons": "Coupons: what they take off, their codes, and how far they are used up."},
    routers=("app.modules.membership.router.coupons:coupons", "app.modules.membership.router.coupons:router"),
    records=(COUPON,),
    ports=((Merger, coupon_users), (MoneyCheck, CouponsCheck), (OrderBenefits, MembershipBenefits)),
    subscriptions=SUBSCRIPTIONS,
    jobs=(KIND,),
    schedules=(Schedule("membership.coupon_reservations", EVERY, release_old, per_tenant=True),),
    permissions=(
        Permission(
            "coupon:issue",
            "Give out codes of coupons, and see them.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
        Permission(
            "coupon:apply",
            "Try coupons on baskets.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.ALL},
        ),
    ),
)
