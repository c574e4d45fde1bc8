"""Returns of the past, a thousand at a time: matched to the order lines that they gave back, or of their own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.bulk import insert_records, insert_rows
from app.kernel.errors import Conflict
from app.kernel.ids import new_id
from app.kernel.numbering import next_numbers
from app.kernel.statements import by_texts, columns_of, entity
from app.kernel.totals import LineInput, total
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ProductRef
from app.modules.orders.models.orders import OrderLine, ReturnStatus
from app.modules.orders.models.returns import Return, ReturnLine
from app.modules.orders.schemas.imports import ImportAnswer, ImportedReturn, ImportedReturnLine
from app.modules.orders.services.imported import (
    Item,
    Known,
    answer,
    mark_existing,
    refuse_known_lines,
)
from app.modules.orders.services.lines import MAX_MINOR
from app.modules.orders.services.return_lines import exact_value, worth
from app.modules.orders.services.returns import NUMBER, RETURN

_BY_KEY = by_texts("orders.order_lines", "external_id", "t.id", live=False)
Made = tuple[Item[ImportedReturn], dict[str, Any], list[dict[str, Any]]]


class ReturnImports:
    """Brings in returns with their lines."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._blank = dict.fromkeys(columns_of(Return))
        self._of: dict[UUID, OrderLine] = {}
        self._accounts: dict[UUID, tuple[UUID, str]] = {}
        self._by_key: dict[str, UUID] = {}

    async def run(self, returns: Sequence[ImportedReturn]) -> ImportAnswer:
        """Make what is not there by its external id; what is wrong with one leaves the others alone.

        Raises: Forbidden; Invalid for owners who are no members.
        """
        uow = self._uow
        uow.actor.require("return:import")
        items = [Item(one) for one in returns]
        await mark_existing(uow, "orders.returns", items)
        await refuse_known_lines(uow, "orders.return_lines", items)
        known = await Known.of(uow, items)
        await self._hold([line for item in items if item.due for line in item.given.lines])
        ready = [one for item in items if item.due and (one := self._compose(item, known)) is not None]
        if ready:
            numbers = await next_numbers(uow, "return", len(ready), NUMBER)
            for (_, row, _), number in zip(ready, numbers, strict=True):
                row["number"] = number
                row["tokens"] = RETURN.search.tokens(row)
            made = await insert_records(uow, RETURN, [row for _, row, _ in ready])
            if len(made) < len(ready):
                raise Conflict("The same was brought in at the same time: send it again.")
            lines = [line for _, _, rows in ready for line in rows]
            await insert_rows(uow, ReturnLine, lines)
            await self._give_back(lines)
        return answer(items)

    async def _hold(self, lines: Sequence[ImportedReturnLine]) -> None:
        """The order lines that are given back, locked in one order, with their orders' accounts."""
        keys = {line.order_line for line in lines if line.order_line is not None}
        ids = {line.order_line_id for line in lines if line.order_line_id is not None}
        if not keys and not ids:
            return
        # The keys first: with both in one statement the plan depends on what the planner last knew of the table.
        keyed = await self._uow.fetch(_BY_KEY, self._uow.tenant_id, list(keys)) if keys else []
        rows = await self._uow.fetch(
            "SELECT l.*, o.account_id, o.currency FROM orders.order_lines l"
            " JOIN orders.orders o ON o.tenant_id = l.tenant_id AND o.id = l.order_id AND o.deleted_at IS NULL"
            " WHERE l.tenant_id = $1 AND l.id = ANY($2::uuid[]) ORDER BY l.id FOR NO KEY UPDATE OF l",
            self._uow.tenant_id,
            [*{row["id"] for row in keyed} | ids],
        )
        for row in rows:
            line = entity(OrderLine, row)
            self._of[line.id] = line
            self._accounts[line.id] = (row["account_id"], row["currency"])
            if line.external_id is not None:
                self._by_key[line.external_id] = line.id

    def _compose(self, item: Item[ImportedReturn], known: Known) -> Made | None:
        """The columns of a return and its lines; None, and nothing claimed, where it is refused."""
        given = item.given
        account = known.account(item)
        if account is None:
            return None
        item.id = id = new_id()
        kept: dict[UUID, tuple[Decimal, Decimal, int, int]] = {}
        lines = [
            self._line(item, line, place, account, known, kept) for place, line in enumerate(given.lines)
        ]
        if item.faults:
            for line_id, (claimed, returned, net, tax) in kept.items():
                self._of[line_id].__dict__.update(
                    return_claimed=claimed, returned=returned, returned_net=net, returned_tax=tax
                )
            return None
        rows = [{**line, "return_id": id} for line in lines if line is not None]
        sums: dict[str, Any] = {name: sum(row[name] for row in rows) for name in ("net", "tax", "total")}
        sums["exact_value"] = exact_value(rows)
        orders = {self._of[row["order_line_id"]].order_id if row["order_line_id"] else None for row in rows}
        of_one = next(iter(orders)) if len(orders) == 1 else None
        return item, {**self._columns(given, account, known), **sums, "id": id, "order_id": of_one}, rows

    def _line(
        self,
        item: Item[ImportedReturn],
        line: ImportedReturnLine,
        place: int,
        account: UUID,
        known: Known,
        kept: dict[UUID, tuple[Decimal, Decimal, int, int]],
    ) -> dict[str, Any] | None:
        at, quantity = f"/lines/{place}", Decimal(line.quantity)
        product = known.product(item, line, at)
        if not quantity:
            item.refuse(f"{at}/quantity", "not_positive", "More than nothing comes back.")
        of = self._order_line(item, line, at, account)
        if item.faults:
            return None
        if of is not None:
            amounts = self._claim(item, of, quantity, at, kept)
            price = of.unit_price if line.unit_price is None else Decimal(line.unit_price)
        elif line.unit_price is None:
            item.refuse(f"{at}/unit_price", "required", "Say what it had cost.")
            return None
        else:
            price = Decimal(line.unit_price)
            amounts = self._amounts(item, line, at)
        net, tax = amounts
        return {
            "id": new_id(),
            "position": place,
            "order_line_id": None if of is None else of.id,
            **_goods(item, line, at, of, product),
            "quantity": quantity,
            "unit_price": price,
            "net": net,
            "tax": tax,
            "total": net + tax,
            "reason": line.reason,
            "condition": None,
            "restock": False,
            "serial_numbers": [],
            "external_id": line.external_id,
        }

    def _order_line(
        self, item: Item[ImportedReturn], line: ImportedReturnLine, at: str, account: UUID
    ) -> OrderLine | None:
        id = line.order_line_id
        name = "order_line_id"
        if line.order_line is not None:
            id, name = self._by_key.get(line.order_line), "order_line"
        elif id is None:
            return None
        found = None if id is None else self._of.get(id)
        if found is None:
            item.refuse(f"{at}/{name}", "unknown_reference", "There is no such line of an order.")
        elif self._accounts[found.id] != (account, item.given.currency):
            item.refuse(
                f"{at}/{name}", "other_account", "The line is another account's, or in another currency."
            )
        return found

    def _claim(
        self,
        item: Item[ImportedReturn],
        of: OrderLine,
        quantity: Decimal,
        at: str,
        kept: dict[UUID, tuple[Decimal, Decimal, int, int]],
    ) -> tuple[int, int]:
        """Net and tax of what a line gives back, noted on it. Refuses more than was delivered."""
        if quantity > of.fulfilled - of.return_claimed:
            item.refuse(f"{at}/quantity", "return_too_large", "More would come back than was delivered.")
            return 0, 0
        kept.setdefault(of.id, (of.return_claimed, of.returned, of.returned_net, of.returned_tax))
        net, tax = worth(of, quantity)
        of.__dict__.update(
            return_claimed=of.return_claimed + quantity,
            returned=of.returned + quantity,
            returned_net=of.returned_net + net,
            returned_tax=of.returned_tax + tax,
        )
        return net, tax

    def _amounts(self, item: Item[ImportedReturn], line: ImportedReturnLine, at: str) -> tuple[int, int]:
        priced = LineInput(
            quantity=Decimal(line.quantity),
            unit_price=Decimal(line.unit_price or 0),
            tax_rate=Decimal(line.tax_rate),
        )
        (found,) = total([priced], currency=item.given.currency, tax_included=item.given.tax_included).lines
        if abs(found.total) > MAX_MINOR:
            item.refuse(f"{at}/unit_price", "amount_out_of_range", "The line comes to too much.")
        return found.net, found.tax

    def _columns(self, given: ImportedReturn, account: UUID, known: Known) -> dict[str, Any]:
        uow = self._uow
        owner = given.owner_id or uow.actor.member_id
        return {
            **self._blank,
            "tenant_id": uow.tenant_id,
            "status": ReturnStatus.REFUNDED.value,
            "account_id": account,
            "reason": given.reason,
            "external_id": given.external_id,
            "currency": given.currency,
            "tax_included": given.tax_included,
            "line_count": len(given.lines),
            "requested_on": given.returned_on,
            "country": given.country or known.countries.get(account),
            "source": given.source,
            "resolved_at": uow.actor.tenant.midnight(given.returned_on),
            "owner_id": owner,
            "team_id": known.teams.get(owner),
            "tags": [],
            "custom": {},
            "version": 1,
            "created_at": uow.now,
            "updated_at": uow.now,
            "created_by": uow.actor.member_id,
        }

    async def _give_back(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write what the order lines gave back."""
        changed = [self._of[id] for id in sorted({line["order_line_id"] for line in lines} - {None})]
        if not changed:
            return
        await self._uow.fetch(
            "UPDATE orders.order_lines l SET return_claimed = n.claimed, returned = n.returned,"
            " returned_net = n.net, returned_tax = n.tax"
            " FROM unnest($2::uuid[], $3::numeric[], $4::numeric[], $5::bigint[], $6::bigint[])"
            " AS n(id, claimed, returned, net, tax) WHERE l.tenant_id = $1 AND l.id = n.id",
            self._uow.tenant_id,
            [line.id for line in changed],
            [line.return_claimed for line in changed],
            [line.returned for line in changed],
            [line.returned_net for line in changed],
            [line.returned_tax for line in changed],
        )


def _goods(
    item: Item[ImportedReturn],
    line: ImportedReturnLine,
    at: str,
    of: OrderLine | None,
    product: ProductRef | None,
) -> dict[str, Any]:
    """What came back: as the line says, else as the order's line, else as the product. Refuses what has no name."""
    if of is not None:
        product_id, name, unit = of.product_id, of.description, of.unit
    elif product is not None:
        product_id, name, unit = product.id, product.name, product.unit
    else:
        product_id, name, unit = None, None, "piece"
    description = line.description or name
    if description is None:
        item.refuse(f"{at}/description", "required", "Say what came back, or name a product.")
    return {"product_id": product_id, "description": description, "unit": line.unit or unit}
