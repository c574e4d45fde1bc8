"""How a company shows itself: settings for documents, and the logo that anybody may see who has its address."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

from app.kernel.uow import transaction
from app.tenants.interface import Tenants
from tests.kernel.test_pdf import picture
from tests.support.api import Client, Company
from tests.tenants.people import code_of, colleague, stranger_from

PNG = {"Content-Type": "image/png"}
# A grey JPEG of one pixel.
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f141d1a1f1e1d1a1c"
    "1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc0000b080001000101011100ffc4001f000001050101010101"
    "0100000000000000000102030405060708090a0bffc400b5100002010303020403050504040000017d0102030004110512213141061351610722"
    "7114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a6364"
    "65666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca"
    "d2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffda0008010100003f00fbd3ffd9"
)


async def put(client: Client, content: bytes, version: int, **headers: str) -> Any:
    return await client.request(
        "PUT", "/v1/tenant/logo", content=content, headers=PNG | headers, if_match=version
    )


async def test_a_company_says_how_it_is_named_on_documents(company: Company):
    owner = company.owner
    before = await owner.ok("GET", "/v1/tenant")
    assert [before[name] for name in ("legal_name", "address", "tax_number", "brand_color", "logo_url")] == [
        None
    ] * 5
    saved = await owner.ok(
        "PATCH",
        "/v1/tenant",
        json={
            "legal_name": "北辰机器人有限公司",
            "address": "上海市张江路100号\n邮编 201203",
            "tax_number": "91310000MA1K35X00X",
            "brand_color": "#D02020",
            "country": "US",
        },
        if_match=1,
    )
    assert (saved["brand_color"], saved["version"]) == ("#d02020", 2)
    kernel = company.app.kernel
    assert kernel is not None
    actor = await kernel.authenticator.member_actor(company.tenant_id, owner.facts["member_id"])
    async with transaction(kernel, actor, read_only=True) as uow:
        head = await uow.of(Tenants).letterhead()
    assert (head.seller.name, list(head.seller.lines), head.seller.tax_number) == (
        "北辰机器人有限公司",
        ["上海市张江路100号", "邮编 201203"],
        "91310000MA1K35X00X",
    )
    assert (head.brand.color, head.brand.logo, head.paper) == ("#d02020", None, "us-letter")
    cleared = await owner.ok("PATCH", "/v1/tenant", json={"legal_name": None, "address": None}, if_match=2)
    assert (cleared["legal_name"], cleared["address"]) == (None, None)


@pytest.mark.parametrize(
    "change",
    [{"brand_color": "red"}, {"brand_color": "#fff"}, {"brand_color": "#12345g"}, {"tax_number": "<b>"}, {"address": ""},
     {"legal_name": "x" * 201}, {"logo_url": "https://example.com"}, {"logo_hash": None}],
)  # fmt: skip
async def test_what_is_no_setting_changes_nothing(company: Company, change: dict[str, Any]):
    before = await company.owner.ok("GET", "/v1/tenant")
    assert (await company.owner.patch("/v1/tenant", change, if_match=1)).status_code == 422
    assert await company.owner.ok("GET", "/v1/tenant") == before


@pytest.mark.parametrize("content", [picture(200, 50), JPEG])
async def test_a_logo_is_shown_to_anybody_who_has_its_address(app: Any, company: Company, content: bytes):
    saved = await put(company.owner, content, 1)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    path = "/public/logos/" + saved.json()["logo_url"].rpartition("/")[2]
    guest = stranger_from(app)
    shown = await guest.get(path)
    assert (shown.status_code, shown.content) == (200, content)
    assert shown.headers["content-type"] == ("image/png" if content.startswith(b"\x89PNG") else "image/jpeg")
    assert "immutable" in shown.headers["cache-control"]
    assert shown.headers["x-content-type-options"] == "nosniff"
    gone = await company.owner.request("DELETE", "/v1/tenant/logo", if_match=2)
    assert (gone.status_code, gone.json()["logo_url"]) == (200, None)
    assert (await guest.get(path)).status_code == 404


async def test_another_logo_has_another_address_and_the_old_one_is_gone(app: Any, company: Company):
    first = (await put(company.owner, picture(2, 2), 1)).json()["logo_url"]
    second = (await put(company.owner, picture(3, 3), 2)).json()["logo_url"]
    again = (await put(company.owner, picture(3, 3), 3)).json()
    assert (again["logo_url"], again["version"], first == second) == (second, 3, False)
    guest = stranger_from(app)
    answers = [
        (await guest.get("/public/logos/" + url.rpartition("/")[2])).status_code for url in (first, second)
    ]
    assert answers == [404, 200]


async def test_addresses_of_logos_cannot_be_made_up(app: Any, company: Company):
    token = (await put(company.owner, picture(), 1)).json()["logo_url"].rpartition("/")[2]
    raw = company.tenant_id.bytes + hashlib.sha256(picture()).digest()
    kernel = company.app.kernel
    assert kernel is not None
    guest = stranger_from(app)
    for wrong in ("x", token[:-2] + "AA", kernel.secrets.sign(raw, purpose="activities.rsvp"), "rl_" + token):
        assert (await guest.get(f"/public/logos/{wrong}")).status_code == 404


def huge() -> bytes:
    """A PNG that says that it has 60,000 x 60,000 pixels."""
    small = picture()
    return small[:16] + struct.pack(">II", 60_000, 60_000) + small[24:]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422), (b"GIF89a" + b"\0" * 50, 422), (b"%PDF-1.7", 422),
        (picture()[:40], 422), (b"\x89PNG\r\n\x1a\n", 422), (b"\xff\xd8\xff\xe0", 422), (JPEG[:60], 422), (huge(), 422),
        (picture(2001, 1), 422), (b"\x89PNG\r\n\x1a\n" + b"\0" * 300_000, 413),
    ],
)  # fmt: skip
async def test_what_is_no_small_picture_is_refused_and_changes_nothing(
    company: Company, content: bytes, status: int
):
    before = await company.owner.ok("GET", "/v1/tenant")
    assert (await put(company.owner, content, 1)).status_code == status
    assert await company.owner.ok("GET", "/v1/tenant") == before


async def test_only_who_runs_the_company_sets_its_logo(company: Company, look: Any):
    seller = await colleague(company, look)
    assert code_of(await put(seller, picture(), 1)) == (403, "forbidden")
    assert code_of(await seller.request("DELETE", "/v1/tenant/logo", if_match=1)) == (403, "forbidden")
    assert (await put(company.owner, picture(), 7)).status_code == 412
    assert (await company.owner.ok("GET", "/v1/tenant"))["logo_url"] is None
    assert await look.value("SELECT count(*) FROM tenants.logos WHERE tenant_id = $1", company.tenant_id) == 0
