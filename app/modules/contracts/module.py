"""Registers contracts: their life, their calendar, and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.money_checks import MoneyCheck
from app.kernel.registry import Module, NotificationKind, Permission, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.automation.interface import ApprovalSubject
from app.modules.catalog.interface import PricedContracts
from app.modules.contracts import jobs
from app.modules.contracts.interface import Contracts
from app.modules.contracts.services.approvals import ContractSubject
from app.modules.contracts.services.checks import ContractsCheck
from app.modules.contracts.services.contracts import CONTRACT
from app.modules.contracts.services.for_others import ContractPrices, ContractsOfTenant
from app.modules.contracts.services.merging import party_accounts, party_contacts
from app.modules.contracts.services.on_accounts import (
    ContractPanel,
    ContractTimeline,
    ContractUses,
    ContractWork,
)
from app.modules.contracts.services.personal_data import PERSONAL_DATA
from app.modules.contracts.services.to_dos import ContractToDos
from app.modules.customers.interface import AccountPanel, AccountUser

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

MODULE = Module(
    name="contracts",
    description="Contracts: terms, payment plans, clauses, amendments, renewals and what orders draw on them.",
    routers=(
        "app.modules.contracts.router:records",
        "app.modules.contracts.router:router",
        "app.modules.contracts.router.parts:router",
        "app.modules.contracts.router.amendments:router",
        "app.modules.contracts.router.parts:templates",
    ),
    records=(CONTRACT,),
    interfaces={Contracts: ContractsOfTenant},
    ports=(
        (AccountPanel, ContractPanel),
        (AccountUser, ContractUses),
        (OpenWork, ContractWork),
        (TimelineSource, ContractTimeline),
        (Merger, record_column(CONTRACT, "account_id", "account")),
        (Merger, record_column(CONTRACT, "contact_id", "contact")),
        (Merger, party_accounts),
        (Merger, party_contacts),
        (ToDoSource, ContractToDos),
        (ApprovalSubject, ContractSubject),
        (PricedContracts, ContractPrices),
        (MoneyCheck, ContractsCheck),
    ),
    schedules=(Schedule("contracts.calendar", jobs.EVERY, jobs.follow_calendar, per_tenant=True),),
    notifications=(
        NotificationKind(jobs.REMINDED, "A contract of yours ends soon", "合同即将到期", mail=True),
        NotificationKind(jobs.OVERDUE, "A payment of your contract is overdue", "合同款项逾期"),
    ),
    parts={
        "contract_instalment": ("contract", {"invoiced": "value", "paid": "value"}),
        "contract_amendment": ("contract", {"changes": "value"}),
    },
    permissions=(
        Permission(
            "contract:end",
            "Void and terminate contracts.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
        Permission(
            "contract_clause:manage",
            "Write the clauses that contracts are made with.",
            dict(_RUNS_IT),
        ),
    ),
    personal_data=PERSONAL_DATA,
)
