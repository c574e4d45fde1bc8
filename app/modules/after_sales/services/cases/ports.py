"""What other topics of after_sales tell cases: the assets and the queues that cases name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID

from app.kernel.listing import Bindings


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """An asset as a case copies it; `warranty_ends_on` is the last day under warranty."""

    id: UUID
    name: str
    account_id: UUID | None
    product_id: UUID | None
    warranty_starts_on: date | None
    warranty_ends_on: date | None
    warranty_terms: str | None = None


class AssetSource(Protocol):
    """Port: where the assets are that cases are about."""

    async def assets(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, AssetFacts]:
        """Assets by id; unknown or not visible ones are absent. With `hold` they stay until the transaction ends."""


class ReplyFollower(Protocol):
    """Port: what has to know at once that a customer wrote about a case."""

    async def replied(self, case_id: UUID) -> None:
        """The customer wrote; the case is held."""


class ResponseClassSource(Protocol):
    """Port: where it is known how fast customers are to be answered."""

    def response_class(self, account_id: UUID, asset_id: UUID | None, on: date, bind: Bindings) -> str:
        """SQL of what is agreed with an account for an asset on a day; the tenant is `$1`."""


class QueueSource(Protocol):
    """Port: where cases wait for somebody."""

    async def queues(self, ids: Collection[UUID]) -> Collection[UUID]:
        """Those of these queues that are there; they stay until the transaction ends."""
