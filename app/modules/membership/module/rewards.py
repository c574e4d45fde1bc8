"""Registers what membership knows of rewards."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, Permission
from app.modules.customers.interface import AccountPanel
from app.modules.membership.handlers import OF_WALLETS
from app.modules.membership.services.panel import MembershipPanel
from app.modules.membership.services.referral_merging import ReferredHolders
from app.modules.membership.services.wallet.reading import WalletCheck

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

PART = Module(
    name="membership",
    tags={"wallets": "Stored value of members: paid in, spent on orders and invoices, given back, paid out."},
    routers=(
        "app.modules.membership.router.wallets:router",
        "app.modules.membership.router.wallets:settings",
        "app.modules.membership.router.rewards:router",
    ),
    ports=((MoneyCheck, WalletCheck), (AccountPanel, MembershipPanel), (Merger, ReferredHolders)),
    subscriptions=OF_WALLETS,
    permissions=(
        Permission(
            "loyalty_member:top_up",
            "Take money for members' wallets.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.TEAM},
        ),
        Permission(
            "loyalty_member:withdraw",
            "Pay members out what they had paid in.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
        Permission(
            "loyalty_member:freeze",
            "Freeze members' wallets and let them go on.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
    ),
)
