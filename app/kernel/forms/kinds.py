"""Kinds of forms: what a module declares to have its records made by strangers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from app.kernel.custom_fields.models import FieldType
from app.kernel.forms.models import WebForm

if TYPE_CHECKING:
    from app.kernel.attempts import Attempts
    from app.kernel.uow import UnitOfWork

Row = TypeVar("Row", bound=WebForm)
Field = dict[str, Any]

CUSTOM: Final = "custom."
CONSENT: Final = "consent."
CUSTOM_TYPES: Final = frozenset(
    {
        FieldType.TEXT, FieldType.LONG_TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE,
        FieldType.BOOLEAN, FieldType.SELECT, FieldType.URL, FieldType.EMAIL, FieldType.PHONE,
    }
)  # fmt: skip
"""Types of custom fields that one input of a form can hold."""
TOUCH_NAMES: Final = (
    "referrer", "landing_page", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
)  # fmt: skip
META_NAMES: Final = frozenset({*TOUCH_NAMES, "language", "token", "opened", "seconds", "first_touch"})
"""What a submission may hold beside the form's fields."""


def _none(_: WebForm) -> Sequence[Mapping[str, Any]]:
    return ()


async def _as_stored(_: UnitOfWork, row: WebForm) -> list[Field]:
    return row.fields


@dataclass(frozen=True, slots=True)
class FormKind(Generic[Row]):
    """One kind: where its definitions lie, what it can ask for, and where its forms are found.

    `object` is the record type whose custom fields it asks for; `page` and `api` are paths below which its forms
    and their submissions lie; `message` is what whoever sent one is told, in their language; `fields_of` are the
    fields as they stand just now, `consents_of` the boxes to tick.
    """

    model: type[Row]
    audit: str
    object: str
    page: str
    api: str
    fields: tuple[str, ...]
    counters: Attempts
    message: Callable[[Row, str], str]
    fields_of: Callable[[UnitOfWork, Row], Awaitable[list[Field]]] = field(default=_as_stored)
    consents_of: Callable[[Row], Sequence[Mapping[str, Any]]] = field(default=_none)


def visible(fields: Sequence[Field]) -> list[Field]:
    """The fields that a visitor is asked for."""
    return [found for found in fields if not found["hidden"]]


def text_of(pair: Mapping[str, Any] | None, language: str) -> str:
    """A text in a language, in English where there is none."""
    return "" if pair is None else str(pair.get(language) or pair.get("en") or "")


def name_of(row: WebForm, language: str) -> str:
    """What a form is called."""
    return (row.name_zh if language == "zh" else None) or row.name_en


def thanks_of(row: WebForm, language: str) -> str | None:
    """The company's own words to whoever sent something."""
    return (row.thanks_zh if language == "zh" else None) or row.thanks_en
