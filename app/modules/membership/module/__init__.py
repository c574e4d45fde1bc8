"""Registers membership: each file says what one topic brings."""

from __future__ import annotations

from app.kernel.registry import Module, combined
from app.modules.membership.module.coupons import PART as COUPONS
from app.modules.membership.module.programmes import PART as PROGRAMMES
from app.modules.membership.module.rewards import PART as REWARDS
from app.modules.membership.services.personal_data import PERSONAL_DATA

PERSONAL = Module(name="membership", personal_data=PERSONAL_DATA)

MODULE = combined(
    "membership",
    "Loyalty programmes: members, tiers, points, coupons, stored value, referrals.",
    (PROGRAMMES, COUPONS, REWARDS, PERSONAL),
)
