"""What stands behind a customer's link: the offer, its lines, the answer given, and whom to ask."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.errors import Invalid, NotFound
from app.kernel.figures import Figures, Language
from app.kernel.links import Link
from app.kernel.pages.public import Look, look_of
from app.kernel.people import People
from app.kernel.record_links import LinkState, RecordLink, RecordLinks
from app.kernel.runtime import Kernel
from app.kernel.secrets import SignatureInvalid
from app.kernel.totals import Totals
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ChargeKind
from app.modules.customers.interface import Customers
from app.modules.quotes.interface import QuoteExpired, QuoteNotOpen, QuoteSuperseded, QuoteWithdrawn
from app.modules.quotes.models import Quote, QuoteAnswer, QuoteLine, QuoteStatus
from app.modules.quotes.services.answering import Answers, require_answerable
from app.modules.quotes.services.lines import stored_price
from app.modules.quotes.services.pricing import Header
from app.modules.quotes.services.quotes import QuoteService
from app.modules.quotes.services.sending import LINK_PURPOSE
from app.modules.quotes.services.summing import add_up, charges_in

_SEAL: Final = "quotes.seal"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a customer asks."""

    name: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer as its page shows it. `state` names why it cannot be answered; `open` can be.

    The others are accepted, declined, expired, superseded, withdrawn and not_open; of the link, revoked and
    link_expired.
    """

    company: TenantProfile
    look: Look
    link: RecordLink
    quote: Quote
    state: str
    language: Language
    account: str = ""
    asked: Person | None = None
    lines: Sequence[QuoteLine] = ()
    answer: QuoteAnswer | None = None

    @property
    def figures(self) -> Figures:
        return Figures(self.language, self.quote.currency)

    def choice(self, chosen: Collection[UUID]) -> Choice:
        """What the offer comes to with these optional lines. Raises `Invalid` for what cannot be chosen."""
        places = {line.id: place for place, line in enumerate(self.lines) if line.optional}
        if not places.keys() >= set(chosen):
            raise Invalid("This is no optional line of the quote.")
        wanted = {places[id] for id in chosen}
        prices = [stored_price(line) for line in self.lines]
        sums = add_up(Header.of(self.quote.__dict__), prices, wanted)
        included = frozenset(self.lines[place].id for place in sums.included)
        return Choice(frozenset(chosen), sums.totals, included, charges_in(prices, sums))

    def seal(self, kernel: Kernel, choice: Choice) -> str:
        """Proof that the page showed this total for this choice to whoever holds this link."""
        return kernel.secrets.sign(self._sealed(choice), purpose=_SEAL)

    def is_sealed(self, kernel: Kernel, seal: str, choice: Choice) -> bool:
        """Whether a form came from our page, and accepts what that page showed."""
        try:
            return kernel.secrets.unsign(seal, purpose=_SEAL) == self._sealed(choice)
        except SignatureInvalid:
            return False

    def _sealed(self, choice: Choice) -> bytes:
        shown = ",".join([str(self.quote.id), str(choice.totals.total), *sorted(map(str, choice.chosen))])
        return self.link.id.bytes + hashlib.sha256(shown.encode()).digest()


@dataclass(frozen=True, slots=True)
class Choice:
    """The optional lines that are wanted, what all comes to, every line that counts, and what is due how often."""

    chosen: frozenset[UUID]
    totals: Totals
    included: frozenset[UUID]
    charges: Mapping[ChargeKind, int]


async def offer_behind(
    uow: UnitOfWork, link: Link, *, language: Language | None, look_at: bool = False
) -> Offer:
    """What a link leads to, in whatever state. With `look_at` a view is counted, as long as the link works.

    Raises `NotFound` for a link that never was, or whose quote is gone.
    """
    links = RecordLinks(uow, purpose=LINK_PURPOSE, audit="quote")
    row = await links.behind(link)
    state = links.state_of(row)
    works = state is LinkState.OPEN
    quote = await Answers(uow).viewed(row) if look_at and works else await uow.get(Quote, row.record_id)
    company = uow.actor.tenant
    basis = Offer(
        company=company,
        look=look_of(uow.kernel, company),
        link=row,
        quote=quote,
        state="revoked" if state is LinkState.REVOKED else "link_expired",
        language=language or ("zh" if quote.language == "zh" else "en"),
        asked=await _asked(uow, quote),
    )
    return basis if not works else await _whole(uow, basis)


async def _whole(uow: UnitOfWork, basis: Offer) -> Offer:
    quote = basis.quote
    names = await uow.of(Customers).account_names([quote.account_id])
    service, answers = QuoteService(uow), Answers(uow)
    answer = None
    if quote.status in (QuoteStatus.ACCEPTED, QuoteStatus.DECLINED):
        answer = await answers.answer_of(quote.id)
    return Offer(
        company=basis.company,
        look=basis.look,
        link=basis.link,
        quote=quote,
        state=await _state(service, quote),
        language=basis.language,
        account=names.get(quote.account_id, ""),
        asked=basis.asked,
        lines=await service.lines_of(quote.id),
        answer=answer,
    )


async def _state(service: QuoteService, quote: Quote) -> str:
    if quote.status in (QuoteStatus.ACCEPTED, QuoteStatus.DECLINED):
        return str(quote.status)
    try:
        await require_answerable(service, quote)
    except QuoteSuperseded:
        return "superseded"
    except QuoteWithdrawn:
        return "withdrawn"
    except QuoteExpired:
        return "expired"
    except QuoteNotOpen:
        return "not_open"
    return "open"


async def _asked(uow: UnitOfWork, quote: Quote) -> Person | None:
    """The owner, with an address while they are with the company."""
    if quote.owner_id is None:
        return None
    people = uow.of(People)
    found = (await people.addresses([quote.owner_id])).get(quote.owner_id)
    return Person(*found) if found is not None else None


def page_language(wanted: str | None) -> Language | None:
    """The language that an address asks for."""
    if wanted == "zh":
        return "zh"
    return "en" if wanted == "en" else None


def link_works(offer: Offer) -> None:
    """Raises `NotFound` for a link that was revoked or has expired."""
    if offer.state in ("revoked", "link_expired"):
        raise NotFound
