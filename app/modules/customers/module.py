"""Registers customers: accounts, contacts and all that is known of them."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.duplicates import PERMISSIONS
from app.kernel.registry import Module, Permission
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import PersonDirectory
from app.modules.customers.handlers import SUBSCRIPTIONS
from app.modules.customers.interface import Customers, Poolable, Pools
from app.modules.customers.jobs import JOBS, SCHEDULES
from app.modules.customers.services.accounts import ACCOUNT
from app.modules.customers.services.contacts import CONTACT
from app.modules.customers.services.matching import CustomersOfTenant
from app.modules.customers.services.mergers import MERGERS
from app.modules.customers.services.open_work import AccountPeople
from app.modules.customers.services.people import ContactDirectory
from app.modules.customers.services.personal_data import PEOPLE, PERSONAL_DATA
from app.modules.customers.services.pools.accounts import AccountsInPools
from app.modules.customers.services.pools.desk import MANAGE
from app.modules.customers.services.pools.for_modules import PoolsOfTenant
from app.modules.customers.services.pools.views import pool_reach

_EVERYBODY = ("owner", "admin", "manager", "salesperson")
POOL_PERMISSIONS = (
    Permission("pool:read", "See pools and their rules.", dict.fromkeys((*_EVERYBODY, "viewer"), Scope.ALL)),
    Permission(
        "pool:claim",
        "Claim records from one's pools, and give out those of pools that one administers.",
        dict.fromkeys(_EVERYBODY, Scope.ALL),
    ),
    Permission(
        MANAGE,
        "Make, change and delete pools, administer each of them, and lock records.",
        {"owner": Scope.ALL, "admin": Scope.ALL},
    ),
)

MODULE = Module(
    name="customers",
    description="Accounts, the people in them, their roles, consent and duplicates.",
    tags={
        "customers": "Accounts, the people in them, their roles and consent.",
        "pools": "Accounts and leads that nobody owns, and who may claim them.",
        "duplicates": "What counts as the same account, contact or lead.",
    },
    routers=("app.modules.customers.router:ROUTERS", "app.kernel.duplicate_router:rules"),
    records=(ACCOUNT, CONTACT),
    interfaces={Customers: CustomersOfTenant, Pools: PoolsOfTenant},
    ports=(
        (OpenWork, AccountPeople),
        (PersonDirectory, ContactDirectory),
        (Poolable, AccountsInPools),
        *MERGERS,
    ),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    schedules=SCHEDULES,
    permissions=(*PERMISSIONS, *POOL_PERMISSIONS),
    reach=(MANAGE, pool_reach),
    people=PEOPLE,
    personal_data=PERSONAL_DATA,
)
