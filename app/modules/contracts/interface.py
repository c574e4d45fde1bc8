"""What other modules may know of contracts: make one of an accepted quote, draw on its frame, bill its plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContractLine:
    """What is contracted: a product at a price, as the quote had it.

    `amount` is that of the whole term, tax included, in minor units; price and quantity are those of one charge.
    """

    product_id: UUID | None
    description: str
    quantity: Decimal
    unit_price: Decimal
    charge: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContract:
    """A contract that another module makes; with `quote_id` there is never a second one for it.

    `value` is the whole value, tax included; without `ends_on` the term is open. `kind` is one of those of the API.
    """

    title: str
    account_id: UUID
    value: Money
    starts_on: date
    ends_on: date | None = None
    contact_id: UUID | None = None
    opportunity_id: UUID | None = None
    quote_id: UUID | None = None
    owner_id: UUID | None = None
    lines: tuple[NewContractLine, ...] = ()
    kind: str = "sale"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRef:
    """A contract as others show it. `drawn` is what orders have drawn on its value."""

    id: UUID
    number: str
    title: str
    account_id: UUID
    status: str
    value: Money
    drawn: Money
    starts_on: date
    ends_on: date | None


class InstalmentStatus(StrEnum):
    """How one payment of a plan stands."""

    NOT_YET_EFFECTIVE = "not_yet_effective"
    PENDING = "pending"
    DUE = "due"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    OVERDUE = "overdue"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalmentRef:
    """One payment of a contract's plan; amounts include tax."""

    id: UUID
    contract_id: UUID
    account_id: UUID
    position: int
    label: str
    amount: Money
    invoiced: Money
    paid: Money
    due_on: date | None
    status: InstalmentStatus


class Contracts(Protocol):
    """Contracts of the tenant at hand, as far as the actor sees them."""

    async def create(self, new: NewContract) -> ContractRef:
        """Make a draft, once for each quote: called again it answers with the first.

        Raises: `Forbidden`; `Invalid`.
        """

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContractRef]:
        """Contracts by id; unknown or not visible ones are absent. With `hold` they are not deleted meanwhile."""

    async def of_quotes(self, quote_ids: Collection[UUID]) -> Mapping[UUID, ContractRef]:
        """The contracts that quotes became."""

    async def draw(self, contract_id: UUID, order_id: UUID, amount: Money) -> Money:
        """Let an order draw on the contract; an order has one drawing, whose amount this sets.

        Answers what is left. Concurrent drawings never exceed the frame.
        Raises: `ContractNotActive`; `FrameExceeded`; `Invalid` for another currency.
        """

    async def release(self, contract_id: UUID, order_id: UUID) -> None:
        """Give back what an order drew; nothing happens where it drew nothing."""

    async def instalments(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, InstalmentRef]:
        """Instalments by id, of visible contracts; with `hold` locked for this transaction."""

    async def plan(self, contract_id: UUID) -> Sequence[InstalmentRef]:
        """All instalments of a contract, by position. Raises `NotFound`."""

    async def invoiced(self, instalment_id: UUID, change: Money) -> InstalmentRef:
        """An invoice over (or, negative, a credit of) this much was issued for it. Raises `InstalmentExceeded`."""

    async def paid(self, instalment_id: UUID, change: Money) -> InstalmentRef:
        """This much was paid for it, or, negative, paid back; its status follows."""


class ContractNotActive(Conflict):
    """Carries `status_now`."""

    code = "contract_not_active"
    title = "The contract is not in force"


class FrameExceeded(Conflict):
    """Carries `left`, the money that may still be drawn."""

    code = "frame_exceeded"
    title = "The contract's value does not cover this"


class InstalmentExceeded(Conflict):
    """Carries `left`."""

    code = "instalment_exceeded"
    title = "More than the instalment would be invoiced"


class ContractLocked(Conflict):
    """Carries `status_now`; amend it, or void it first."""

    code = "contract_locked"
    title = "A contract that has left the draft does not change like this"


class ContractInUse(Conflict):
    """Carries `drawn` and `invoiced`."""

    code = "contract_in_use"
    title = "Orders or invoices rest on this contract"


class ContractRenewed(Conflict):
    """Carries `successor_id`."""

    code = "contract_renewed"
    title = "There is a contract for the next period already"


class AmendmentOpen(Conflict):
    """Carries `number`, the amendment's."""

    code = "amendment_open"
    title = "An amendment of this contract is on its way"


class ClauseTemplateInUse(Conflict):
    code = "clause_template_in_use"
    title = "Contracts were written with this clause; take it out of use instead"


class ContractActivated(Event):
    """A contract came into force."""

    type: ClassVar[str] = "contracts.contract.activated.v1"
    object: ClassVar[str] = "contract"

    account_id: UUID
    opportunity_id: UUID | None
    quote_id: UUID | None
    value: dict[str, str]
    starts_on: date
    ends_on: date | None


class ContractEnded(Event):
    """A contract expired, was terminated or was renewed by `successor_id`."""

    type: ClassVar[str] = "contracts.contract.ended.v1"
    object: ClassVar[str] = "contract"

    account_id: UUID
    status: str
    reason: str | None
    successor_id: UUID | None


class ContractStepped(Event):
    """A contract went a step that has no event of its own.

    `step` is submit, approve, return, void, reopen, give_notice or withdraw_notice.
    """

    type: ClassVar[str] = "contracts.contract.stepped.v1"
    object: ClassVar[str] = "contract"

    step: str
    status: str
    reason: str | None = None


class ContractAmended(Event):
    """An amendment came into force; `revision` is the new one."""

    type: ClassVar[str] = "contracts.contract.amended.v1"
    object: ClassVar[str] = "contract"

    amendment_id: UUID
    revision: int
    value: dict[str, str]
    ends_on: date | None


class RenewalDue(Event):
    """The owner of a contract is reminded that it ends."""

    type: ClassVar[str] = "contracts.contract.renewal_due.v1"
    object: ClassVar[str] = "contract"

    owner_id: UUID | None
    ends_on: date
    auto_renew: bool


class InstalmentStatusChanged(Event):
    """A payment of a contract's plan fell due, was paid, is overdue …; `id` is the contract's."""

    type: ClassVar[str] = "contracts.contract.instalment_status_changed.v1"
    object: ClassVar[str] = "contract"

    instalment_id: UUID
    former: str
    status: str
    due_on: date | None
