"""The states of an order, and what may be done in each."""

from __future__ import annotations

from app.kernel.errors import Conflict
from app.kernel.states import StateMachine
from app.modules.orders.models.orders import OrderStatus

DRAFT, CONFIRMED, IN_FULFILMENT = OrderStatus.DRAFT, OrderStatus.CONFIRMED, OrderStatus.IN_FULFILMENT
FULFILLED, CLOSED, CANCELLED = OrderStatus.FULFILLED, OrderStatus.CLOSED, OrderStatus.CANCELLED

ORDER_STATES: StateMachine[OrderStatus] = StateMachine(
    "The order",
    DRAFT,
    {
        (DRAFT, "confirm"): CONFIRMED,
        (DRAFT, "cancel"): CANCELLED,
        (CONFIRMED, "cancel"): CANCELLED,
        (CONFIRMED, "cancel_lines"): CONFIRMED,
        (CONFIRMED, "ship"): IN_FULFILMENT,
        (IN_FULFILMENT, "ship"): IN_FULFILMENT,
        (IN_FULFILMENT, "cancel_lines"): IN_FULFILMENT,
        (IN_FULFILMENT, "complete"): FULFILLED,
        (FULFILLED, "close"): CLOSED,
    },
)
"""`complete` follows by itself when nothing is open any more. What was shipped comes back as a return."""


class OrderNotDraft(Conflict):
    """Carries `state`."""

    code = "order_not_draft"
    title = "What was agreed changes only in a draft"


class OrderEmpty(Conflict):
    code = "order_empty"
    title = "There is nothing on this order"


class OrderReferenceUsed(Conflict):
    """Carries `order_id` and `number` of the order that has the reference, with another content."""

    code = "order_reference_used"
    title = "The customer's reference names another order"


class ShipmentTooLarge(Conflict):
    """`lines` lists line_id, wanted and open."""

    code = "shipment_too_large"
    title = "More would go out than is open"


class CancellationTooLarge(Conflict):
    """`lines` lists line_id, wanted and open."""

    code = "cancellation_too_large"
    title = "More would be cancelled than is open"
