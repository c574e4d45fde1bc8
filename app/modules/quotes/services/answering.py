"""The customer's answer: one transaction makes the order or contract of an accepted quote, once.

Both ways lead here: a member who writes down what was agreed, and the public page, which comes with the link it was
opened by. Whoever holds the quote's row first is answered for good; everybody after gets the first answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from uuid import UUID

from sqlalchemy import ARRAY, Text, any_, literal

from app.kernel import benefits
from app.kernel.errors import FieldError, Invalid, NotFound, require_version
from app.kernel.links import Link
from app.kernel.locks import lock_keys
from app.kernel.money import Money, half_up
from app.kernel.periods import add_months
from app.kernel.record_links import LinkState, RecordLink, RecordLinks
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts, NewContract, NewContractLine
from app.modules.orders.interface import NewOrder, NewOrderLine, Orders
from app.modules.quotes.interface import (
    QuoteAccepted,
    QuoteDeclined,
    QuoteExpired,
    QuoteNotOpen,
    QuoteSuperseded,
    QuoteWithdrawn,
)
from app.modules.quotes.models import AnswerKind, Becomes, Quote, QuoteAnswer, QuoteLine, QuoteStatus
from app.modules.quotes.schemas.steps import Acceptance, QuoteRefusal
from app.modules.quotes.services.customer_news import ACCEPTED, DECLINED, VIEWED, tell_owner
from app.modules.quotes.services.lines import given_again, stored_price
from app.modules.quotes.services.over_term import amounts_over, kind_of
from app.modules.quotes.services.pricing import Header, Pricing
from app.modules.quotes.services.quotes import QuoteService, money_of
from app.modules.quotes.services.sending import LINK_PURPOSE
from app.modules.quotes.services.states import WITH_CUSTOMER
from app.modules.quotes.services.summing import Sums, add_up


@dataclass(frozen=True, slots=True)
class From:
    """Where an answer comes from: the network address, and the link by which a customer came, if they did."""

    address: str | None
    link: RecordLink | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed: the lines that count, and what they come to."""

    lines: Sequence[QuoteLine]
    sums: Sums
    chosen: tuple[UUID, ...]

    @property
    def total(self) -> int:
        return self.sums.totals.total


class Answers:
    """Accepting and declining."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    # -- the public page -----------------------------------------------------------------------------------

    async def behind(self, link: Link) -> tuple[RecordLink, Quote]:
        """The quote that a link of a customer leads to. Raises `NotFound` for one that does not work any more."""
        links = RecordLinks(self._uow, purpose=LINK_PURPOSE, audit="quote")
        row = await links.behind(link)
        if links.state_of(row) is not LinkState.OPEN:
            raise NotFound
        return row, await self._uow.get(Quote, row.record_id)

    async def viewed(self, link: RecordLink) -> Quote:
        """Note that the customer looks at it; the first look is told by a step. Raises `NotFound`."""
        await RecordLinks(self._uow, purpose=LINK_PURPOSE, audit="quote").seen(link)
        row = await self._uow.get(Quote, link.record_id, lock="update")
        if row.status != QuoteStatus.SENT:
            return row
        await tell_owner(self._uow, row, VIEWED)
        return await self._quotes.step(row, "view", first_viewed_at=self._uow.now)

    # -- answers -------------------------------------------------------------------------------------------

    async def answer_of(self, quote_id: UUID) -> QuoteAnswer:
        """The answer that was given to a quote. Raises `NotFound` while there is none."""
        found = await self._find(quote_id)
        if found is None:
            raise NotFound
        return found

    async def _find(self, quote_id: UUID) -> QuoteAnswer | None:
        return await self._uow.first(self._uow.select(QuoteAnswer).where(QuoteAnswer.quote_id == quote_id))

    async def accept(
        self, id: UUID, given: Acceptance, came: From, *, expected_version: int | None = None
    ) -> QuoteAnswer:
        """Accept a quote and make of it what it becomes; again, it answers the same.

        What else the customer has of the quote's opportunity is withdrawn: of several offers one is accepted.
        Raises: `QuoteExpired`; `QuoteSuperseded`; `QuoteWithdrawn`; `QuoteNotOpen`; `Invalid` for lines that are no
        choice and for what the quote requires; and what placing an order or making a contract raises.
        """
        await self._one_by_one(id)
        row = await self._held(id, came)
        if row.status == QuoteStatus.ACCEPTED:
            return await self.answer_of(row.id)
        await self._require_open(row, expected_version)
        _check_requirements(row, given)
        agreed = await self._agreed(row, given.chosen_line_ids)
        order_id, contract_id = await self._make(row, agreed)
        answer = await self._uow.insert(
            QuoteAnswer,
            audit="quote_answer",
            quote_id=row.id,
            kind=AnswerKind.ACCEPTED.value,
            name=given.name,
            job_title=given.job_title,
            note=given.note,
            agreed=True,
            signature=given.signature,
            payment_reference=given.payment_reference,
            chosen_line_ids=list(agreed.chosen),
            total=agreed.total,
            currency=row.currency,
            prepayment=prepayment_of(row, agreed.total),
            order_id=order_id,
            contract_id=contract_id,
            **self._who(came),
        )
        await self._accepted(row, answer, agreed.sums.totals.net)
        await self._withdraw_others(row)
        if came.link is not None:
            await tell_owner(self._uow, row, ACCEPTED, given.note)
        return answer

    async def _accepted(self, row: Quote, answer: QuoteAnswer, net: int) -> None:
        """The quote as it stands from here on, and the news of it."""
        total = answer.total or 0
        await self._quotes.step(
            row,
            "accept",
            note=answer.note,
            answered_at=answer.at,
            accepted_total=total,
            order_id=answer.order_id,
            made_contract_id=answer.contract_id,
        )
        self._uow.publish(
            QuoteAccepted(
                id=row.id,
                account_id=row.account_id,
                opportunity_id=row.opportunity_id,
                order_id=answer.order_id,
                contract_id=answer.contract_id,
                number=row.number,
                revision=row.revision,
                total=money_of(row, total),
                net=money_of(row, net),
                accepted_on=self._quotes.today,
            )
        )

    async def _one_by_one(self, id: UUID) -> None:
        """Let acceptances of one opportunity wait for each other, before either holds its quote."""
        found = await self._uow.fetchrow(
            "SELECT opportunity_id FROM quotes.quotes WHERE tenant_id = $1 AND id = $2",
            self._uow.tenant_id,
            id,
        )
        if found is not None and found["opportunity_id"] is not None:
            await lock_keys(self._uow, "quotes.opportunity", [str(found["opportunity_id"])])

    async def _withdraw_others(self, row: Quote) -> None:
        """Other offers of the opportunity that the customer has are none any more, whoever may see them."""
        if row.opportunity_id is None:
            return
        statement = self._uow.select(Quote).where(
            Quote.opportunity_id == row.opportunity_id,
            Quote.number != row.number,
            Quote.status == any_(literal([one.value for one in WITH_CUSTOMER], ARRAY(Text()))),
            Quote.deleted_at.is_(None),
        )
        for other in await self._uow.all(statement.order_by(Quote.id).with_for_update(key_share=True)):
            await self._quotes.step(other, "withdraw", note=f"{row.number} was accepted.")

    async def decline(
        self, id: UUID, given: QuoteRefusal, came: From, *, expected_version: int | None = None
    ) -> QuoteAnswer:
        """Decline a quote; again, it answers the same. Raises `QuoteExpired`, `QuoteSuperseded`, `QuoteNotOpen`."""
        row = await self._held(id, came)
        if row.status == QuoteStatus.DECLINED:
            return await self.answer_of(row.id)
        await self._require_open(row, expected_version)
        answer = await self._uow.insert(
            QuoteAnswer,
            audit="quote_answer",
            quote_id=row.id,
            kind=AnswerKind.DECLINED.value,
            name=given.name,
            note=given.reason,
            agreed=False,
            chosen_line_ids=[],
            currency=row.currency,
            **self._who(came),
        )
        await self._quotes.step(
            row, "decline", note=given.reason, answered_at=answer.at, decline_reason=given.reason
        )
        self._uow.publish(
            QuoteDeclined(
                id=row.id,
                account_id=row.account_id,
                opportunity_id=row.opportunity_id,
                reason=given.reason,
            )
        )
        if came.link is not None:
            await tell_owner(self._uow, row, DECLINED, given.reason)
        return answer

    def _who(self, came: From) -> dict[str, object]:
        return {
            "address": came.address,
            "member_id": self._uow.actor.member_id if came.link is None else None,
            "link_id": came.link.id if came.link else None,
            "at": self._uow.now,
        }

    async def _held(self, id: UUID, came: From) -> Quote:
        """The quote, locked: by the rights of a member, or by a link that leads to it."""
        if came.link is None:
            return await self._quotes.locked(id, None)
        if came.link.record_id != id:
            raise NotFound
        return await self._uow.get(Quote, id, lock="update")

    async def _require_open(self, row: Quote, expected_version: int | None) -> None:
        """Raises what keeps a quote from being answered, which says more than a stale version."""
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        await require_answerable(self._quotes, row)

    # -- what it becomes -----------------------------------------------------------------------------------

    async def _agreed(self, row: Quote, chosen: Collection[UUID]) -> Agreed:
        lines = await self._quotes.lines_of(row.id)
        places = {line.id: index for index, line in enumerate(lines) if line.optional}
        errors = [
            FieldError(f"/chosen_line_ids/{index}", "no_choice", "This is no optional line of the quote.")
            for index, id in enumerate(chosen)
            if id not in places
        ]
        wanted = {places[id] for id in chosen if id in places}
        if wanted and not errors:
            given = [given_again(line) for line in lines]
            errors = await Pricing(self._uow).violations(given, wanted, pointer="/chosen_line_ids")
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        sums = add_up(Header.of(row.__dict__), [stored_price(line) for line in lines], wanted)
        return Agreed(lines, sums, tuple(lines[place].id for place in sorted(wanted)))

    async def _make(self, row: Quote, agreed: Agreed) -> tuple[UUID | None, UUID | None]:
        """The order or the contract: (order, contract)."""
        if row.becomes == Becomes.ORDER:
            return (await self._uow.of(Orders).place(new_order(row, agreed))).id, None
        today = self._quotes.today
        amounts = amounts_over(agreed.lines, agreed.sums, row.term_months)
        contract = await self._uow.of(Contracts).create(
            NewContract(
                title=row.name,
                account_id=row.account_id,
                kind=kind_of(agreed.lines, agreed.sums),
                value=Money(sum(amounts.values()), row.currency),
                starts_on=today,
                ends_on=_last_day(today, row.term_months),
                contact_id=row.contact_id,
                opportunity_id=row.opportunity_id,
                quote_id=row.id,
                owner_id=row.owner_id,
                lines=tuple(
                    NewContractLine(
                        product_id=line.product_id,
                        description=line.description,
                        quantity=line.quantity,
                        unit_price=line.unit_price,
                        charge=line.charge,
                        amount=amounts[place],
                    )
                    for place in agreed.sums.included
                    for line in (agreed.lines[place],)
                ),
            )
        )
        return None, contract.id


def new_order(row: Quote, agreed: Agreed) -> NewOrder:
    """The order of what was agreed, line by line at the quote's prices."""
    at = {place: index for index, place in enumerate(agreed.sums.included)}
    lines = []
    for place in agreed.sums.included:
        line = agreed.lines[place]
        lines.append(
            NewOrderLine(
                product_id=line.product_id,
                description=line.description,
                unit=line.unit,
                quantity=line.quantity,
                unit_price=line.unit_price,
                gross=line.exact_gross,
                discount_percent=line.discount_percent,
                discount_amount=line.discount_amount,
                tax_rate=line.tax_rate,
                charge=line.charge,
                unit_cost=line.unit_cost,
                component_of=None if line.component_of is None else at[line.component_of],
                quote_line_id=line.id,
            )
        )
    return NewOrder(
        account_id=row.account_id,
        currency=row.currency,
        lines=tuple(lines),
        total=agreed.total,
        tax_included=row.tax_included,
        discount_percent=row.discount_percent,
        discount_amount=row.discount_amount or 0,
        contact_id=row.contact_id,
        opportunity_id=row.opportunity_id,
        quote_id=row.id,
        contract_id=row.contract_id,
        partner_id=row.partner_id,
        owner_id=row.owner_id,
        team_id=row.team_id,
        source="quote",
        channel=row.channel,
        benefits=tuple(
            replace(one, discounts=tuple(one.discounts[place] for place in agreed.sums.included))
            for one in benefits.read(row.benefits)
        ),
    )


async def require_answerable(quotes: QuoteService, row: Quote) -> None:
    """That a customer may answer. Raises `QuoteSuperseded`, `QuoteWithdrawn`, `QuoteExpired`, `QuoteNotOpen`."""
    if row.status == QuoteStatus.SUPERSEDED:
        newest = (await quotes.revisions_of(row))[-1]
        raise QuoteSuperseded(revision=newest.revision)
    if row.status == QuoteStatus.WITHDRAWN:
        raise QuoteWithdrawn
    over = row.valid_until is not None and row.valid_until < quotes.today
    if row.status == QuoteStatus.EXPIRED or (row.status in WITH_CUSTOMER and over):
        raise QuoteExpired(valid_until=row.valid_until and row.valid_until.isoformat())
    if row.status not in WITH_CUSTOMER:
        raise QuoteNotOpen(f"It is {row.status}.", status_now=row.status)


def _check_requirements(row: Quote, given: Acceptance) -> None:
    """Signature and payment are asked for independently. Raises `Invalid` with all that is missing."""
    errors = []
    if row.signature_required and given.signature is None:
        errors.append(FieldError("/signature", "required", "This quote asks for a signature."))
    if row.payment_required and given.payment_reference is None:
        errors.append(FieldError("/payment_reference", "required", "This quote is paid for on acceptance."))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)


def prepayment_of(row: Quote, total: int) -> int | None:
    """What is due on acceptance, in minor units; None where nothing was asked for."""
    if row.prepayment_percent is not None:
        return half_up(Fraction(row.prepayment_percent) * total / 100)
    return total if row.payment_required else None


def _last_day(start: date, months: int | None) -> date | None:
    """The last day of a term of so many months; None where it is open."""
    return None if months is None else add_months(start, months) - timedelta(days=1)
