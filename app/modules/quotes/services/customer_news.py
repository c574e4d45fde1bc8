"""What a customer did on the public page is told to the quote's owner."""

from __future__ import annotations

from typing import Final

from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork
from app.modules.quotes.models import Quote

VIEWED: Final = "quote.viewed"
ACCEPTED: Final = "quote.accepted"
DECLINED: Final = "quote.declined"
_TITLES: Final = {
    VIEWED: {
        "en": "{quote}: the customer has looked at it for the first time",
        "zh": "{quote}：客户首次查看",
    },
    ACCEPTED: {"en": "{quote}: the customer has accepted", "zh": "{quote}：客户已接受"},
    DECLINED: {"en": "{quote}: the customer has declined", "zh": "{quote}：客户已拒绝"},
}


async def tell_owner(uow: UnitOfWork, row: Quote, kind: str, note: str | None = None) -> None:
    """Tell the owner, if there is one, in the company's language; `note` is what the customer wrote."""
    if row.owner_id is None:
        return
    title = _TITLES[kind][uow.actor.tenant.language].format(quote=f"{row.number} rev. {row.revision}")
    await Notifications(uow).tell([row.owner_id], Notice(kind, title, note, "quote", row.id))
