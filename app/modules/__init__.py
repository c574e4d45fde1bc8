"""The product's modules, lowest first: a module imports only the interfaces of others, and ports go upwards."""

from __future__ import annotations

from app.kernel.registry import Module
from app.modules.activities.module import MODULE as ACTIVITIES
from app.modules.after_sales.module import MODULE as AFTER_SALES
from app.modules.automation.module import MODULE as AUTOMATION
from app.modules.catalog.module import MODULE as CATALOG
from app.modules.contracts.module import MODULE as CONTRACTS
from app.modules.customers.module import MODULE as CUSTOMERS
from app.modules.leads.module import MODULE as LEADS
from app.modules.membership.module import MODULE as MEMBERSHIP
from app.modules.opportunities.module import MODULE as OPPORTUNITIES
from app.modules.orders.module import MODULE as ORDERS
from app.modules.quotes.module import MODULE as QUOTES

MODULES: list[Module] = [
    ACTIVITIES,
    AUTOMATION,
    CUSTOMERS,
    CATALOG,
    OPPORTUNITIES,
    LEADS,
    CONTRACTS,
    ORDERS,
    QUOTES,
    AFTER_SALES,
    MEMBERSHIP,
]
