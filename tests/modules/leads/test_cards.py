"""Business cards as leads: versions, folding, character sets, and that each card stands for itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.leads.services.capture.vcard import CardInvalid, lead_of, read_cards
from tests.modules.leads.forms import leads
from tests.modules.support import count, make
from tests.support.api import Client, Company

FOUR = (
    b"\xef\xbb\xbfBEGIN:VCARD\r\nVERSION:4.0\r\nFN:Dr. Li Hua\r\nN:Li;Hua;;Dr.;\r\nORG:Cloud Sail\\, Ltd;Sales\r\n"
    b"TITLE:Head of\r\n  purchasing\r\nEMAIL;PREF=2:second@sail.example.com\r\n"
    b'EMAIL;PREF=1;TYPE="work,home":li@sail.example.com\r\nTEL;VALUE=uri;TYPE="voice,work":tel:+86-21-5555-1234;ext=9\r\n'
    b'TEL;TYPE=fax;PREF=1:+86 21 5555 0000\r\nADR;LABEL="a:b":;Floor 3;1 Nanjing Rd;Shanghai;SH;200001;China\r\n'
    b"item1.URL:https://sail.example.com/x\r\nNOTE:Met at the fair\\; wants\\npumps\r\nPHOTO:data:image/png;base64,AAAA\r\n"
    b"END:VCARD\r\n"
)
THREE = (
    "BEGIN:VCARD\nVERSION:3.0\nN:王;伟;;;\nORG:云帆\n 科技\nTEL;TYPE=WORK,VOICE:021-5555 1234\n"
    "TEL;TYPE=CELL:138 0013 8000\nEND:VCARD\n"
).encode()
TWO = (
    b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=GBK;ENCODING=QUOTED-PRINTABLE:=CD=F5;=CE=\r\n=B0\r\n"
    b"ORG;CHARSET=UTF-8;QUOTED-PRINTABLE:M=C3=BCller=3B Pumpen\r\nTEL;CELL;PREF:+49 170 1234567\r\nEND:VCARD\r\n"
)


def lead(raw: bytes) -> dict[str, Any]:
    [card] = read_cards(raw)
    return lead_of(card)


def test_version_four() -> None:
    assert lead(FOUR) == {
        "name": "Dr. Li Hua",
        "company": "Cloud Sail, Ltd",
        "title": "Head of purchasing",
        "email": "li@sail.example.com",
        "phone": "+86-21-5555-1234",
        "website": "https://sail.example.com/x",
        "description": "Met at the fair; wants\npumps",
        "address": "1 Nanjing Rd, Floor 3, 200001",
        "city": "Shanghai",
        "region": "SH",
        "country": "China",
    }


def test_version_three_with_a_chinese_name_and_a_folded_line() -> None:
    assert lead(THREE) == {"name": "王伟", "company": "云帆科技", "phone": "138 0013 8000"}


def test_version_two_with_quoted_printable_and_a_character_set() -> None:
    assert lead(TWO) == {"name": "王伟", "company": "Müller", "phone": "+49 170 1234567"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "There is no card: a card begins with BEGIN:VCARD."),
        (b"hello", "There is something outside of the cards."),
        (b"BEGIN:VCARD\nVERSION:4.0\nFN:A\n", "The last card does not end."),
        (b"END:VCARD\n", "A card ends that did not begin."),
        (b"BEGIN:VCARD\nBEGIN:VCARD\n", "A card begins within another."),
        (b"BEGIN:VCARD\nVERSION:4.0\nFN:A\nEND:VCARD\n" * 501, "A file may hold 500 cards."),
    ],
)
def test_what_is_no_file_of_cards_is_refused(text: bytes, error: str) -> None:
    with pytest.raises(CardInvalid) as refusal:
        read_cards(text)
    assert str(refusal.value) == error


async def test_a_hostile_card_fails_alone(company: Company, owner: Client) -> None:
    lines = (
        b"EMAIL;PREF=" + b"9" * 5_000 + b":li@sail.example.com",
        b"NOTE;CHARSET=punycode:" + b"a" * 200,
        b"NOTE;CHARSET=unicode_escape:\\ud800",
        b"NOTE;CHARSET=utf-7:+2AA-",
        b"NOTE;ENCODING=QUOTED-PRINTABLE:a=00",
        b"NOTE:a\0",
        b"NOTE;CHARSET=nope:a",
    )
    cards = b"".join(b"BEGIN:VCARD\nVERSION:4.0\nFN:L%d\n%s\nEND:VCARD\n" % one for one in enumerate(lines))
    answer = await owner.request(
        "POST", "/v1/leads/from-vcard", content=cards, headers={"Content-Type": "text/vcard"}
    )
    assert answer.status_code == 207
    assert [one["status"] for one in answer.json()["results"]] == [201, *[422] * 6]
    assert await count(company, "leads.leads") == 1


def test_a_line_of_many_pieces_is_joined_once() -> None:
    since = time.process_time()
    found = lead(b"BEGIN:VCARD\nVERSION:4.0\nFN:" + b"\n a" * 300_000 + b"\nEND:VCARD\n")
    assert len(found["name"]) == 300_000
    assert time.process_time() - since < 2


@given(st.lists(st.sampled_from([b"BEGIN:VCARD\n", b"VERSION:4.0\n", b"END:VCARD\n", b"FN:", b"N;X=", b" ", b'"', b"=\n",
                                 b":", b";", b"\\", b"EMAIL;CHARSET=q:", b"\xff", b"\x00", b"a"]), max_size=40))  # fmt: skip
def test_any_bytes_are_cards_or_refused(parts: list[bytes]) -> None:
    try:
        for card in read_cards(b"".join(parts)):
            lead_of(card)
    except CardInvalid:
        pass


async def test_each_card_of_a_file_has_its_own_result(company: Company, owner: Client) -> None:
    bad = b"BEGIN:VCARD\nVERSION:4.0\nFN:Bo\nEMAIL:nobody\nEND:VCARD\n"
    odd = b"BEGIN:VCARD\nVERSION:9\nFN:Cy\nEND:VCARD\n"
    place = b"BEGIN:VCARD\nVERSION:4.0\nFN:Di\nADR:;;;Minas Tirith;;;Gondor\nEND:VCARD\n"
    answer = await owner.request(
        "POST",
        "/v1/leads/from-vcard",
        content=FOUR + bad + THREE + odd + place,
        headers={"Content-Type": "text/vcard"},
    )
    body = answer.json()
    assert (answer.status_code, body["succeeded"], body["failed"]) == (207, 3, 2)
    assert [(one["name"], one["status"]) for one in body["results"]] == [
        ("Dr. Li Hua", 201), ("Bo", 422), ("王伟", 201), ("Cy", 422), ("Di", 201),
    ]  # fmt: skip
    errors = [one["error"]["errors"][0] for one in body["results"] if one["error"]]
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("/email", "invalid_email"),
        ("", "invalid_vcard"),
    ]
    found = {one["id"]: one for one in await leads(owner)}
    assert set(found) == {one["lead_id"] for one in body["results"] if one["lead_id"]}
    first = found[body["results"][0]["lead_id"]]
    assert [first[n] for n in ("source", "country", "owner_id", "email")] == [
        "business_card", "CN", str(company.member_id), "li@sail.example.com",
    ]  # fmt: skip
    last = found[body["results"][4]["lead_id"]]
    assert (last["country"], last["city"], last["address"]) == (None, "Minas Tirith", "Gondor")


async def test_a_card_that_the_company_blocks_as_a_duplicate_fails_alone(
    company: Company, owner: Client
) -> None:
    await make(owner, "leads", name="Li", email="li@sail.example.com")
    rule = await owner.ok("GET", "/v1/duplicate-rules/lead")
    await owner.ok("PUT", "/v1/duplicate-rules/lead", json={"action": "block"}, if_match=rule["version"])
    body = await owner.ok("POST", "/v1/leads/from-vcard", json={"text": (FOUR + THREE).decode("utf-8-sig")})
    assert [(one["status"], (one["error"] or {}).get("code")) for one in body["results"]] == [
        (409, "duplicate_found"), (201, None),
    ]  # fmt: skip
    assert await count(company, "leads.leads") == 2


async def test_other_bodies_are_refused(company: Company, owner: Client) -> None:
    for kind, content, status in (
        ("text/csv", b"a", 415),
        ("text/vcard", b"no card", 422),
        ("application/json", b'{"text": "x", "more": 1}', 422),
        ("application/json", b"{", 400),
    ):
        answer = await owner.request(
            "POST", "/v1/leads/from-vcard", content=content, headers={"Content-Type": kind}
        )
        assert answer.status_code == status, kind
    assert await count(company, "leads.leads") == 0
