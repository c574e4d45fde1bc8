"""What loyalty programmes hold about a person: their card, and the ledgers of points and money, which stay."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import NOTHING, RECORD_TEXTS, Holding, swept, swept_columns, when_set

_LEDGER: Final = "Points and money are owed and booked; the books keep sums, and no name."
_MEMBERS: Final = "t.member_id IN {loyalty_member}"
PERSONAL_DATA: Final = (
    Holding(
        "membership.loyalty_members",
        "t.account_id IN {account} OR t.contact_id IN {contact}",
        erase={"number": "concat('E', upper(right(t.id::text, 12)))", "birthday": NOTHING, **RECORD_TEXTS},
        why=_LEDGER,
    ),
    Holding("membership.adjustments", _MEMBERS, erase={"reason": swept("reason")}, why=_LEDGER),
    Holding("membership.burns", _MEMBERS, erase={"note": swept("note")}, why=_LEDGER),
    Holding("membership.coupon_codes", _MEMBERS, erase={"reference": swept("reference")}, why=_LEDGER),
    Holding("membership.wallets", _MEMBERS, erase={"reason": when_set("reason")}, why=_LEDGER),
    Holding(
        "membership.wallet_transactions",
        "t.wallet_id IN {membership.wallets}",
        erase={**swept_columns("note", "source", "reference")},
        why=_LEDGER,
        guarded=True,
    ),
    Holding(
        "membership.ledger_transactions",
        "t.id IN (SELECT e.transaction_id FROM membership.ledger_entries e WHERE e.tenant_id = t.tenant_id"
        " AND e.member_id IN {loyalty_member})",
        erase={"note": swept("note")},
        why=_LEDGER,
        guarded=True,
    ),
    Holding(
        "membership.referrals",
        "t.referrer_id IN {loyalty_member} OR t.referred_id IN {loyalty_member}",
        erase={"reason": swept("reason")},
        why=_LEDGER,
    ),
)
