"""Registers customers: accounts, contacts and all that is known of them."""

from __future__ import annotations

from app.kernel.duplicate_router import PERMISSIONS, rules
from app.kernel.registry import Module
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import PersonDirectory
from app.modules.customers.interface import Customers
from app.modules.customers.router import ROUTERS
from app.modules.customers.services.accounts import ACCOUNT
from app.modules.customers.services.contacts import CONTACT
from app.modules.customers.services.matching import CustomersOfTenant
from app.modules.customers.services.mergers import MERGERS
from app.modules.customers.services.open_work import AccountPeople
from app.modules.customers.services.people import ContactDirectory

MODULE = Module(
    name="customers",
    description="Accounts, the people in them, their roles, consent and duplicates.",
    tags={
        "customers": "Accounts, the people in them, their roles and consent.",
        "duplicates": "What counts as the same account, contact or lead.",
    },
    routers=(*ROUTERS, rules),
    records=(ACCOUNT, CONTACT),
    ports=((OpenWork, AccountPeople), (PersonDirectory, ContactDirectory), *MERGERS),
    interfaces={Customers: CustomersOfTenant},
    permissions=PERMISSIONS,
)
