"""Uses of coupons move along when accounts become one: who has used one has used it."""

from __future__ import annotations

from app.kernel.merging.references import LinkColumn
from app.kernel.uow import UnitOfWork


def coupon_users(uow: UnitOfWork) -> LinkColumn:
    return LinkColumn(uow, "membership.coupon_uses", "account_id", kind="coupon_uses", objects=["account"])
