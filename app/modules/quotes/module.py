"""Registers quotes: offers in revisions, their approval, and what customers answer."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, NotificationKind, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.automation.interface import ApprovalSubject
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser
from app.modules.quotes.handlers import SUBSCRIPTIONS
from app.modules.quotes.interface import Quotes
from app.modules.quotes.services.approving import QuoteSubject
from app.modules.quotes.services.checks import QuotesCheck
from app.modules.quotes.services.customer_news import ACCEPTED, DECLINED, VIEWED
from app.modules.quotes.services.expiry import EVERY, expire_quotes
from app.modules.quotes.services.for_others import QuotesOfTenant
from app.modules.quotes.services.keeping import KIND, SUBSCRIPTION
from app.modules.quotes.services.on_accounts import (
    QuotedProducts,
    QuotePanel,
    QuoteTimeline,
    QuoteUses,
    QuoteWork,
)
from app.modules.quotes.services.personal_data import PERSONAL_DATA
from app.modules.quotes.services.price_changes import PRICE_CHANGED
from app.modules.quotes.services.quotes import QUOTE
from app.modules.quotes.services.to_dos import QuoteToDos

MODULE = Module(
    name="quotes",
    description="Offers in revisions, with lines, totals, approval and the customer's answer.",
    routers=(
        "app.modules.quotes.router:records",
        "app.modules.quotes.router:router",
        "app.modules.quotes.router.public:router",
    ),
    records=(QUOTE,),
    interfaces={Quotes: QuotesOfTenant},
    ports=(
        (ApprovalSubject, QuoteSubject),
        (AccountPanel, QuotePanel),
        (AccountUser, QuoteUses),
        (ProductUser, QuotedProducts),
        (OpenWork, QuoteWork),
        (TimelineSource, QuoteTimeline),
        (ToDoSource, QuoteToDos),
        (MoneyCheck, QuotesCheck),
        (Merger, record_column(QUOTE, "account_id", "account")),
        (Merger, record_column(QUOTE, "contact_id", "contact")),
    ),
    jobs=(KIND,),
    schedules=(Schedule("quotes.expire", EVERY, expire_quotes, per_tenant=True),),
    subscriptions=(*SUBSCRIPTIONS, SUBSCRIPTION),
    notifications=(
        NotificationKind(
            PRICE_CHANGED, "A price in one of your open quotes changed", "未结报价中的价格有变动"
        ),
        NotificationKind(VIEWED, "A customer looked at your quote for the first time", "客户首次查看了报价"),
        NotificationKind(ACCEPTED, "A customer accepted your quote", "客户接受了报价"),
        NotificationKind(DECLINED, "A customer declined your quote", "客户拒绝了报价"),
    ),
    parts={"quote_answer": ("quote", {"total": "total", "prepayment": "total"})},
    personal_data=PERSONAL_DATA,
)
