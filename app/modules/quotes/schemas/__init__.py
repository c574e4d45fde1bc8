"""The wire shapes of quotes and their lines."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.benefits import BenefitRead, CouponCodes
from app.kernel.countries import Country
from app.kernel.decimals import DecimalOut, Percent, decimal_field
from app.kernel.money import Currency, MoneyIn, MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.kernel.totals import TaxRead
from app.modules.catalog.interface import ChargeKind, PriceSource
from app.modules.quotes.models import Becomes, QuoteLanguage, QuoteStatus

MOST_LINES = 500
MAX_AMOUNT_MINOR = 10**15  # sums of hundreds still fit where money is kept


Quantity = Annotated[str, *decimal_field(r"^[0-9]{1,9}(\.[0-9]{1,4})?$", "3")]
"""A plain decimal number as text, to four decimals."""
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class QuoteLineInput(Input):
    """Something offered: a product at the catalogue's price or one that is entered, or free text at a price."""

    product_id: UUID | None = Field(None, description="Absent: free text, which needs a price.")
    description: ShortText | None = Field(
        None, description="Absent: the product's name.", examples=["On-site training"]
    )
    detail: LongText | None = None
    unit: Code | None = Field(None, description="Absent: the product's, or `piece`.", examples=["day"])
    quantity: Quantity
    unit_price: UnitPriceIn | None = Field(
        None,
        description="Beats every list. Absent: what the catalogue says.",
        examples=[{"amount": "1299.00", "currency": "USD"}],
    )
    discount_percent: Percent = "0"
    discount_amount: MoneyIn | None = Field(None, description="Comes off after the percentage.")
    tax_rate: Percent | None = Field(None, description="Absent: the product's, free text bears none.")
    charge: ChargeKind | None = Field(None, description="Absent: the product's, free text is charged once.")
    optional: bool = Field(False, description="In no total until the customer chooses it.")
    component_of: int | None = Field(
        None, ge=0, lt=MOST_LINES, description="The index of the bundle's line, which stands before this one."
    )
    unit_cost: UnitPriceIn | None = Field(None, description="Absent: the product's.")

    @model_validator(mode="after")
    def _priced(self) -> QuoteLineInput:
        if self.product_id is None and (self.description is None or self.unit_price is None):
            raise PydanticCustomError("free_text", "Without a product a line needs a description and a price")
        if self.optional and self.component_of is not None:
            raise PydanticCustomError("optional_component", "A component is chosen with its bundle")
        return self


QuoteLineInputs = Annotated[
    list[QuoteLineInput],
    Field(max_length=MOST_LINES, description="All lines, in their order; they are replaced whole."),
]


class QuoteCreate(RecordInput):
    """A new quote. What an opportunity says is taken over where nothing else is given."""

    name: ShortText | None = Field(None, description="Absent: the opportunity's or the account's name.")
    account_id: UUID | None = Field(None, description="May be left out with an opportunity that has one.")
    contact_id: UUID | None = None
    opportunity_id: UUID | None = Field(
        None, description="Its account, contact, currency and lines are taken over."
    )
    contract_id: UUID | None = Field(None, description="A contract whose prices hold.")
    partner_id: UUID | None = Field(
        None, description="Whose price books count: an id of yours, which is compared and not looked up."
    )
    segment: Code | None = Field(None, description="For price books of a customer segment.")
    channel: Code | None = Field(None, description="For price books of a sales channel.")
    currency: Currency | None = Field(None, description="Absent: the opportunity's, or the company's.")
    tax_included: bool = Field(False, description="Prices include tax.")
    tax_country: Country | None = Field(
        None, description="Decides tax rates; absent: the account's, else the company's."
    )
    issued_on: date | None = Field(None, description="Absent: today.")
    valid_until: date | None = Field(None, description="The last day to accept; absent: 30 days later.")
    discount_percent: Percent = "0"
    discount_amount: MoneyIn | None = Field(None, description="Comes off the sum after the percentage.")
    terms: LongText | None = None
    language: QuoteLanguage | None = Field(
        None, description="Absent: the account's if that is `en` or `zh`, else the company's."
    )
    becomes: Becomes = Becomes.ORDER
    term_months: int | None = Field(
        None, ge=1, le=600, description="Of the contract that it becomes, whose value is all charged in it."
    )
    signature_required: bool = Field(False, description="To accept it one signs.")
    payment_required: bool = Field(False, description="To accept it one says how it was paid.")
    prepayment_percent: Percent | None = Field(
        None, description="How much of the total is due on acceptance; absent: all if payment is required."
    )
    coupon_codes: CouponCodes = Field(
        default_factory=list,
        examples=[[]],
        description="Of one that becomes an order. What they take off is promised; accepted, the order uses them up.",
    )
    lines: QuoteLineInputs = Field(default_factory=list)


QuoteUpdate = patch_of(QuoteCreate)


class QuoteRead(RecordOutput):
    """A revision of a quote. Optional lines are in no total; those chosen are in `accepted_total`."""

    number: str
    revision: int
    name: str
    status: QuoteStatus
    account_id: UUID
    contact_id: UUID | None
    opportunity_id: UUID | None
    contract_id: UUID | None
    partner_id: UUID | None
    segment: str | None
    channel: str | None
    currency: str
    tax_included: bool
    tax_country: str
    issued_on: date
    valid_until: date | None
    discount_percent: DecimalOut
    discount_amount: MoneyOut | None
    gross: MoneyOut = Field(description="The lines before any discount.")
    discount: MoneyOut = Field(description="The lines' own discounts.")
    header_discount: MoneyOut = Field(description="Off the whole quote; coupons are part of it.")
    benefit_discount: MoneyOut = Field(description="What of that coupons take off.")
    coupon_codes: list[str]
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut = Field(description="One payment of everything; recurring charges stand beside it.")
    one_time_total: MoneyOut
    monthly_total: MoneyOut = Field(description="Of the total, what is charged each month.")
    yearly_total: MoneyOut = Field(description="Of the total, what is charged each year.")
    cost: MoneyOut | None = Field(description="Null where the cost of a line is not known.")
    margin_amount: MoneyOut | None = Field(description="Net less cost.")
    margin_percent: DecimalOut | None
    total_discount_percent: DecimalOut | None = Field(
        description="All discounts, and entered prices below the list's, of what it would be without them."
    )
    line_count: int
    terms: str | None
    language: QuoteLanguage
    becomes: Becomes
    term_months: int | None
    signature_required: bool
    payment_required: bool
    prepayment_percent: DecimalOut | None
    sent_at: datetime | None
    first_viewed_at: datetime | None
    answered_at: datetime | None
    accepted_total: MoneyOut | None
    decline_reason: str | None
    order_id: UUID | None = Field(description="The order that it became.")
    made_contract_id: UUID | None = Field(description="The contract that it became.")


class QuoteLineRead(Output):
    """A line as it is offered; prices are null where hidden from you, the cost too."""

    id: UUID
    position: int
    component_of: int | None = Field(description="The position of its bundle's line.")
    product_id: UUID | None
    description: str
    detail: str | None
    unit: str
    quantity: DecimalOut
    price_source: PriceSource | None
    price_book_id: UUID | None
    list_price: UnitPriceOut | None
    unit_price: UnitPriceOut | None
    discount_percent: DecimalOut | None
    discount_amount: MoneyOut | None
    tax_rate: DecimalOut
    charge: ChargeKind
    optional: bool
    unit_cost: UnitPriceOut | None
    gross: MoneyOut | None
    discount: MoneyOut | None
    subtotal: MoneyOut | None
    header_discount: MoneyOut | None = Field(
        description="Its share of the quote's own discount, and what coupons take off."
    )
    benefit_discount: MoneyOut | None = Field(description="What of that coupons take off.")
    net: MoneyOut | None
    tax: MoneyOut | None
    total: MoneyOut | None


class QuoteDetail(QuoteRead):
    """A revision of a quote with its lines in their order, its taxes by rate, and what coupons take off."""

    lines: list[QuoteLineRead]
    taxes: list[TaxRead]
    benefits: list[BenefitRead]
