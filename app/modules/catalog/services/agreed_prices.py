"""Prices agreed with one account, or in one contract: they go before every price book."""

from __future__ import annotations

from typing import Any, ClassVar

from app.kernel.decimals import decimal_text
from app.kernel.errors import Invalid
from app.kernel.records import RecordService, RecordType
from app.modules.catalog.interface import ProductPriceChanged
from app.modules.catalog.models.prices import AgreedPrice
from app.modules.catalog.schemas.prices import AgreedPriceCreate, AgreedPriceRead, AgreedPriceUpdate
from app.modules.catalog.services.categories import KEPT_BY_MANAGERS
from app.modules.catalog.services.contract_terms import require_contract
from app.modules.catalog.services.price_books import check_validity, held_products
from app.modules.customers.interface import Customers

_FIXED = ("product_id", "account_id", "contract_id", "currency")


class AgreedPriceService(RecordService[AgreedPrice]):
    """Agreed prices; of several that hold on a day, the one that began last counts."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        if (values["account_id"] is None) == (values["contract_id"] is None):
            raise Invalid.at(
                "/account_id", "one_party", "A price is agreed with an account or in a contract."
            )
        check_validity(values)
        if values["product_id"] not in await held_products(self.uow, [values["product_id"]]):
            raise Invalid.at("/product_id", "unknown_reference", "There is no product with this id.")
        account = values["account_id"]
        if account is not None and account not in await self.uow.of(Customers).get_many([account], hold=True):
            raise Invalid.at("/account_id", "unknown_reference", "There is no account with this id.")
        if values["contract_id"] is not None:
            await require_contract(self.uow, values["contract_id"])

    async def after_create(self, row: AgreedPrice) -> None:
        self._tell(row, None, row.price)

    async def before_update(self, row: AgreedPrice, changes: dict[str, Any]) -> None:
        for name in _FIXED:
            if changes.get(name, getattr(row, name)) != getattr(row, name):
                raise Invalid.at(f"/{name}", "immutable", "Agree on a new price instead.")
        check_validity({**row.__dict__, **changes})

    async def after_update(self, before: AgreedPrice, after: AgreedPrice) -> None:
        names = ("price", "valid_from", "valid_until")
        if any(getattr(before, name) != getattr(after, name) for name in names):
            self._tell(after, before.price, after.price)

    async def before_delete(self, row: AgreedPrice) -> None:
        self._tell(row, row.price, None)

    def _tell(self, row: AgreedPrice, former: Any, price: Any) -> None:
        self.uow.publish(
            ProductPriceChanged(
                id=row.product_id,
                product_id=row.product_id,
                price_book_id=None,
                currency=row.currency,
                former=None if former is None else decimal_text(former),
                price=None if price is None else decimal_text(price),
                agreed_price_id=row.id,
                account_id=row.account_id,
                contract_id=row.contract_id,
            )
        )


AGREED_PRICE: RecordType[AgreedPrice] = RecordType(
    object="agreed_price",
    plural="agreed_prices",
    module="catalog",
    model=AgreedPrice,
    read=AgreedPriceRead,
    create=AgreedPriceCreate,
    update=AgreedPriceUpdate,
    service=AgreedPriceService,
    title="id",
    importable=False,
    default_scopes=KEPT_BY_MANAGERS,
)
AgreedPriceService.record = AGREED_PRICE
