"""The frame of all pages that strangers see: escaped, framed by nobody, in the company's colour and their language."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.access import TenantProfile
from app.kernel.errors import NotFound
from app.kernel.figures import Language
from app.kernel.pages.languages import language_of
from app.kernel.pages.public import (
    NOBODYS,
    Look,
    alert,
    hidden,
    logo_of,
    logo_path,
    look_of,
    message_page,
    page,
)
from app.kernel.runtime import Kernel
from tests.support.kernel import bare_kernel


@pytest.fixture
async def kernel(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path) as found:
        yield found


def text_of(answer: object) -> str:
    return bytes(answer.body).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("secret", [False, True])
def test_the_policy_allows_the_pages_own_style_and_nothing_else(secret: bool):
    answer = page(
        "T", "<p>x</p>", "en", look=Look("A", "#0f766e"), targets=["https://shop.example"], secret=secret
    )
    [style] = re.findall("<style>(.*?)</style>", text_of(answer), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; base-uri 'none'; frame-ancestors 'none';"
        " form-action 'self' https://shop.example"
    )
    assert answer.headers["referrer-policy"] == ("no-referrer" if secret else "same-origin")
    assert "--accent: #0f766e" in style
    assert "url(" not in style
    assert "@import" not in style


@given(st.text(min_size=1))
def test_no_text_becomes_markup(text: str):
    shown = (
        text_of(message_page(text, text, "zh", look=Look(text, "#0b5cc0", "/public/logos/x")))
        + alert(text, [(text, text, text)])
        + hidden(text, text)
    )
    for name in ("title", "h1"):
        [inner] = re.findall(f"<{name}>(.*?)</{name}>", shown, re.DOTALL)
        assert "<" not in inner
    plain = (
        text_of(message_page("", "", "zh", look=Look("x", "#0b5cc0", "/public/logos/x")))
        + alert("", [("", "", "")])
        + hidden("", "")
    )
    assert re.findall("<[a-z/!]+", shown) == re.findall("<[a-z/!]+", plain)
    assert shown.count('"') == plain.count('"')


def test_a_page_without_a_company_shows_none():
    assert '<header class="brand">' not in text_of(page("T", "", "en", look=NOBODYS))
    assert '<html lang="zh-CN">' in text_of(page("T", "", "zh"))


async def test_a_logo_has_an_address_that_cannot_be_made_up(kernel: Kernel):
    digest = hashlib.sha256(b"picture").digest()
    profile = TenantProfile(id=uuid4(), name="北辰", brand_color="#ffd000", logo_hash=digest)
    look = look_of(kernel, profile)
    assert look.logo is not None
    assert look.name == "北辰"
    assert logo_of(kernel, look.logo.rpartition("/")[2]) == (profile.id, digest)
    assert logo_path(kernel, profile.id, digest) == look.logo
    assert logo_path(kernel, profile.id, None) is None
    for wrong in (
        "",
        "x",
        look.logo[:-2] + "AA",
        kernel.secrets.sign(profile.id.bytes + digest, purpose="x"),
    ):
        with pytest.raises(NotFound):
            logo_of(kernel, wrong.rpartition("/")[2])


@pytest.mark.parametrize(
    ("wanted", "accepted", "fallback", "language"),
    [
        ("zh", "en", "en", "zh"), ("en-GB", "zh", "zh", "en"), (None, "fr, zh;q=0.5, en;q=0.7", "zh", "en"),
        ("xx", None, "zh-CN", "zh"), (None, "zh;q=0, de", "en", "en"), (7, "x" * 10_000, "en", "en"),
    ],
)  # fmt: skip
def test_strangers_are_answered_in_their_language(
    wanted: object, accepted: str | None, fallback: str, language: Language
):
    assert language_of(wanted, accepted, fallback) == language
