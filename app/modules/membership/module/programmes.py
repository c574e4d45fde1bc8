"""Registers what membership knows of programmes."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, Permission, Schedule
from app.modules.automation.interface import ApprovalSubject
from app.modules.customers.interface import AccountUser
from app.modules.membership import jobs
from app.modules.membership.handlers import SUBSCRIPTIONS
from app.modules.membership.interface import Memberships
from app.modules.membership.services.adjusting import AdjustmentSubject
from app.modules.membership.services.for_others import (
    MembershipsOfTenant,
    MemberUses,
    PointsCheck,
    member_holders,
)
from app.modules.membership.services.members import LOYALTY_MEMBER

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

PART = Module(
    name="membership",
    tags={
        "membership": "Members of loyalty programmes: cards, points, tiers.",
        "loyalty_programmes": "What earns, what points are worth, and the tiers.",
    },
    routers=(
        "app.modules.membership.router.programmes:members",
        "app.modules.membership.router.programmes:programmes",
        "app.modules.membership.router.programmes:router",
    ),
    records=(LOYALTY_MEMBER,),
    interfaces={Memberships: MembershipsOfTenant},
    ports=(
        (AccountUser, MemberUses),
        (Merger, member_holders("account_id", "account")),
        (Merger, member_holders("contact_id", "contact")),
        (ApprovalSubject, AdjustmentSubject),
        (MoneyCheck, PointsCheck),
    ),
    subscriptions=SUBSCRIPTIONS,
    schedules=(
        Schedule("membership.calendar", jobs.CALENDAR_EVERY, jobs.follow_calendar, per_tenant=True),
        Schedule("membership.classes", jobs.CLASSES_EVERY, jobs.classify_members, per_tenant=True),
    ),
    permissions=(
        Permission("loyalty_programme:manage", "Write loyalty programmes.", dict(_RUNS_IT)),
        Permission(
            "loyalty_member:redeem",
            "Spend, keep and transfer members' points.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.TEAM},
        ),
        Permission(
            "loyalty_member:adjust",
            "Give and take members' points by hand.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
    ),
)
