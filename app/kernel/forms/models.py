"""The columns that every kind of form has, and what is stored of its visitors."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Base, Json, TenantOwned, Versioned


class WebForm(Versioned):
    """A form that strangers fill in. `limit_per_address` and `limit_per_form` are submissions per hour.

    The public key begins with the company's id, so that it leads to its row through the company's own index.
    """

    __abstract__ = True

    name_en: Mapped[str] = mapped_column(sort_order=-20)
    name_zh: Mapped[str | None] = mapped_column(sort_order=-19)
    public_key: Mapped[str] = mapped_column(sort_order=-18)
    enabled: Mapped[bool] = mapped_column(sort_order=-17)
    fields: Mapped[list[Any]] = mapped_column(sort_order=-16)
    allowed_origins: Mapped[list[str]] = mapped_column(sort_order=-15)
    redirect_url: Mapped[str | None] = mapped_column(sort_order=-14)
    thanks_en: Mapped[str | None] = mapped_column(sort_order=-13)
    thanks_zh: Mapped[str | None] = mapped_column(sort_order=-12)
    honeypot: Mapped[str] = mapped_column(sort_order=-11)
    min_seconds: Mapped[int] = mapped_column(sort_order=-10)
    limit_per_address: Mapped[int] = mapped_column(sort_order=-9)
    limit_per_form: Mapped[int] = mapped_column(sort_order=-8)


class WebFormSubmission(TenantOwned):
    """What one visitor sent. `token` is the client's own key."""

    __abstract__ = True

    form_id: Mapped[UUID] = mapped_column(sort_order=-20)
    status: Mapped[str] = mapped_column(sort_order=-19)
    reason: Mapped[str | None] = mapped_column(sort_order=-18)
    token: Mapped[str | None] = mapped_column(sort_order=-17)
    answers: Mapped[Json] = mapped_column(sort_order=-16)
    language: Mapped[str] = mapped_column(sort_order=-15)
    created_at: Mapped[datetime] = mapped_column(sort_order=901)


class WebFormAttempt(Base):
    """A counter of submissions and mails in a window, shared by all processes."""

    __abstract__ = True

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True, info={"secret": True})
    window_started_at: Mapped[datetime]
    count: Mapped[int]
