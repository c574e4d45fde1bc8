"""Pages that strangers see of a company: one frame, with its name, logo and colour, in English or Chinese.

No page runs a script, and a policy says so to the browser; the one style lies in the page and is named in the policy
by its hash. Nothing comes from elsewhere, nobody else may frame a page, and none is kept or found by search engines.
They are made for phones, keyboards and screen readers: a language, landmarks, labels, visible focus, and a colour
that can be read whatever the company chose.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Final
from uuid import UUID

from starlette.responses import HTMLResponse

from app.kernel.access import TenantProfile
from app.kernel.colors import DEFAULT, readable
from app.kernel.errors import NotFound
from app.kernel.runtime import Kernel
from app.kernel.secrets import SignatureInvalid

LOGOS: Final = "/public/logos/"
_LOGO_PURPOSE: Final = "tenants.logo"
_TAGS: Final = {"en": "en", "zh": "zh-CN"}
_STYLE: Final = Path(__file__).with_name("public.css")


@dataclass(frozen=True, slots=True)
class Look:
    """How a company's pages look: its name, its colour made readable, and the address of its logo."""

    name: str = ""
    color: str = DEFAULT
    logo: str | None = None


NOBODYS: Final = Look()
"""The look of a page that does not say whose it is."""


def look_of(kernel: Kernel, profile: TenantProfile) -> Look:
    """The look of a company's pages."""
    return Look(profile.name, readable(profile.brand_color), logo_path(kernel, profile.id, profile.logo_hash))


def logo_path(kernel: Kernel, tenant_id: UUID, logo_hash: bytes | None) -> str | None:
    """Where a company's logo is found by anybody; another logo has another address, and none can be made up."""
    if logo_hash is None:
        return None
    return LOGOS + kernel.secrets.sign(tenant_id.bytes + logo_hash, purpose=_LOGO_PURPOSE)


def logo_of(kernel: Kernel, token: str) -> tuple[UUID, bytes]:
    """The company and the hash that an address of a logo names. Raises `NotFound`."""
    try:
        payload = kernel.secrets.unsign(token, purpose=_LOGO_PURPOSE)
    except SignatureInvalid:
        raise NotFound from None
    return UUID(bytes=payload[:16]), payload[16:]


def page(
    title: str,
    body: str,
    language: str,
    *,
    look: Look = NOBODYS,
    status: int = 200,
    targets: Sequence[str] = (),
    wide: bool = False,
    secret: bool = False,
) -> HTMLResponse:
    """A whole page. `body` is HTML in which all text is escaped; `targets` are origins its forms may lead to.

    A page whose address is `secret` tells it to nobody, not even to us; its forms are sent with `Origin: null` then.
    """
    style, digest = _style(look.color)
    head = (
        f'<!doctype html><html lang="{_TAGS[language]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
    )
    main = '<main class="wide">' if wide else "<main>"
    content = f"{head}<body>{_brand(look)}{main}{body}</main></body></html>"
    headers = _headers(digest, targets) | {"Referrer-Policy": "no-referrer" if secret else "same-origin"}
    return HTMLResponse(content, status, headers)


def message_page(
    title: str,
    text: str,
    language: str,
    *,
    look: Look = NOBODYS,
    status: int = 200,
    more: str = "",
    secret: bool = False,
) -> HTMLResponse:
    """A page that says one thing; `more` is HTML that follows."""
    body = f'<h1>{escape(title)}</h1><p role="status">{escape(text)}</p>{more}'
    return page(title, body, language, look=look, status=status, secret=secret)


def hidden(name: str, value: str) -> str:
    """An input that nobody sees."""
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def alert(text: str, findings: Sequence[tuple[str, str, str]] = ()) -> str:
    """What is wrong, named before the form, with links to the fields: (id of the input, label, message)."""
    links = "".join(
        f'<li><a href="#{escape(at)}">{escape(label)}</a>: {escape(message)}</li>'
        for at, label, message in findings
    )
    listed = f"<ul>{links}</ul>" if links else ""
    return f'<div class="wrong" role="alert"><p>{escape(text)}</p>{listed}</div>'


def _brand(look: Look) -> str:
    if not look.name:
        return ""
    name = escape(look.name)
    shown = f'<img src="{escape(look.logo)}" alt="{name}">' if look.logo else name
    return f'<header class="brand"><p>{shown}</p></header>'


def _headers(digest: str, targets: Sequence[str]) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; base-uri 'none';"
        " frame-ancestors 'none'; form-action " + " ".join(["'self'", *targets])
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
        "Cache-Control": "no-store",
    }


@lru_cache(maxsize=1_000)
def _style(color: str) -> tuple[str, str]:
    """The style in a colour, and its hash as policies name it (CSP 3, 6.7.2.3)."""
    style = f":root {{ --accent: {color}; }}\n{_sheet()}"
    return style, b64encode(hashlib.sha256(style.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _sheet() -> str:
    return _STYLE.read_text()
