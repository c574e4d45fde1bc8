"""Leads from mail: senders, notes, machines that are left alone, and that a mail counts once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import Invalid
from app.kernel.inbound_mail import read_mail
from tests.modules.leads.forms import leads, rows
from tests.modules.support import count, make
from tests.support.api import Client, Company


def mail(text: str = "Two pumps, please.", **headers: str) -> bytes:
    """A mail as it comes from a gateway."""
    fields = {
        "From": "=?utf-8?b?5p2O5Y2O?= <li@sail.example.com>",
        "Subject": "=?utf-8?q?Pumps_=E6=B3=B5?=",
        "Message-ID": "<1@sail.example.com>",
        "Content-Type": "text/plain; charset=utf-8",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return (
        "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value) + f"\r\n{text}\r\n"
    ).encode()


async def take(owner: Client, raw: bytes) -> httpx.Response:
    return await owner.request(
        "POST", "/v1/leads/from-email", content=raw, headers={"Content-Type": "message/rfc822"}
    )


async def notes(owner: Client) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = (await owner.ok("GET", "/v1/activities?sort=created_at"))["data"]
    return [(note["subject"], note["body"]) for note in found]


async def test_a_sender_becomes_a_lead_and_then_touches_it(company: Company, owner: Client) -> None:
    first = (await take(owner, mail())).json()
    [lead] = await leads(owner)
    assert first == {"status": "created", "reason": None, "repeated": False, "lead_id": lead["id"]}
    assert [lead[n] for n in ("name", "email", "source", "medium")] == [
        "李华",
        "li@sail.example.com",
        "email",
        "email",
    ]
    again = (
        await take(owner, mail("Hello?", From="LI@sail.example.com", Message_ID="<2@x>", Subject=""))
    ).json()
    assert again == {"status": "touched", "reason": None, "repeated": False, "lead_id": lead["id"]}
    assert sorted(await notes(owner)) == [("(no subject)", "Hello?"), ("Pumps 泵", "Two pumps, please.")]
    assert await count(company, "leads.leads") == 1


async def test_the_same_mail_two_hundred_times_at_once_counts_once(company: Company, owner: Client) -> None:
    answers = [answer.json() for answer in await asyncio.gather(*(take(owner, mail()) for _ in range(200)))]
    assert sorted(answer["repeated"] for answer in answers) == [False] + [True] * 199
    assert len({answer["lead_id"] for answer in answers}) == 1
    assert (await count(company, "leads.leads"), len(await notes(owner))) == (1, 1)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Auto-Submitted": "auto-replied"}, "auto_submitted"),
        ({"Auto-Submitted": "auto-generated; x=y"}, "auto_submitted"),
        ({"X-Autoreply": "yes"}, "auto_submitted"),
        ({"Precedence": "bulk"}, "bulk"),
        ({"List-Id": "<news.example.com>"}, "bulk"),
        ({"Return-Path": "<>"}, "bounce"),
        ({"Content-Type": 'multipart/report; boundary="x"'}, "bounce"),
        ({"From": "MAILER-DAEMON@example.com"}, "no_reply"),
        ({"From": "", "Auto-Submitted": "auto-replied"}, "auto_submitted"),
    ],
)
async def test_mail_of_machines_is_left_alone(
    company: Company, owner: Client, headers: dict[str, str], reason: str
) -> None:
    answer = await take(owner, mail(**headers))
    assert answer.json() == {"status": "ignored", "reason": reason, "repeated": False, "lead_id": None}
    assert (await count(company, "leads.leads"), await rows(company, "leads.captured_mails")) == (0, 0)


async def test_a_person_says_no_to_auto_submitted(company: Company, owner: Client) -> None:
    assert (await take(owner, mail(Auto_Submitted="no"))).json()["status"] == "created"
    assert await count(company, "leads.leads") == 1


async def test_the_reply_address_of_a_websites_mailer_is_the_lead(owner: Client) -> None:
    await take(owner, mail(From="no-reply@shop.example.com", Reply_To="Ann Lee <ann@lee.example.com>"))
    [lead] = await leads(owner)
    assert (lead["name"], lead["email"]) == ("Ann Lee", "ann@lee.example.com")


async def test_an_html_mail_becomes_plain_text(owner: Client) -> None:
    html = "<html><head><style>p{}</style></head><body><p>Two &lt;b&gt; pumps</p><script>x()</script><p>Ann</p></body>"
    await take(owner, mail(html, **{"Content-Type": "text/html; charset=utf-8"}))
    assert await notes(owner) == [("Pumps 泵", "Two <b> pumps\nAnn")]


@pytest.mark.parametrize("sender", ["", "nobody", "Undisclosed:;", "<>"])
async def test_a_mail_without_a_sender_is_refused(company: Company, owner: Client, sender: str) -> None:
    refused = await take(owner, mail(From=sender))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/from")
    assert await count(company, "leads.leads") == 0


async def test_a_mail_that_is_too_large_or_no_mail_is_refused(company: Company, owner: Client) -> None:
    large = await take(owner, mail("x" * (1024 * 1024)))
    assert (large.status_code, large.json()["limit"]) == (413, 1024 * 1024)
    other = await owner.request(
        "POST", "/v1/leads/from-email", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert other.status_code == 415
    assert (await take(owner, b"")).status_code == 422
    assert await count(company, "leads.leads") == 0


async def test_a_sender_that_the_company_blocks_is_refused(company: Company, owner: Client) -> None:
    await make(
        owner, "leads", name="Li", email="li@sail.example.com", status="disqualified", disqualified_reason="x"
    )
    rule = await owner.ok("GET", "/v1/duplicate-rules/lead")
    await owner.ok("PUT", "/v1/duplicate-rules/lead", json={"action": "block"}, if_match=rule["version"])
    refused = await take(owner, mail())
    assert [refused.status_code, *(refused.json()[n] for n in ("code", "reason"))] == [
        409,
        "mail_refused",
        "duplicate_found",
    ]
    assert (await count(company, "leads.leads"), await rows(company, "leads.captured_mails")) == (1, 0)


async def test_another_companys_mail_with_the_same_id_is_its_own(
    company: Company, rival: Company, owner: Client
) -> None:
    answers = [(await take(who, mail())).json() for who in (owner, rival.owner)]
    assert [answer["repeated"] for answer in answers] == [False, False]
    assert (await count(company, "leads.leads"), await count(rival, "leads.leads")) == (1, 1)


def nested(depth: int) -> str:
    """The text of a mail whose boundary is b0."""
    return "".join(
        f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n" for n in range(depth)
    )


ADDRESSES = ", ".join(f"a{n}@x.example.com" for n in range(20_000))
HOSTILE = {
    "encoded words": mail(Subject="=?utf-8?q?a?= " * 20_000),
    "parameters": mail(**{"Content-Type": "text/plain" + "; a*0*=x''b" * 1_000}),
    "addresses": mail(From=ADDRESSES),
    "addresses to reply to": mail(Reply_To=ADDRESSES),
    "comments": mail(From="(" * 5_000 + "x" + ")" * 5_000 + " <li@sail.example.com>"),
    "headers": mail(**{f"X-{n}": "x" for n in range(200)}),
    "parts": mail("--x\r\n\r\na\r\n" * 51, **{"Content-Type": "multipart/mixed; boundary=x"}),
    "nested parts": mail(nested(1_000), **{"Content-Type": "multipart/mixed; boundary=b0"}),
    "nested mails": mail("Content-Type: message/rfc822\r\n\r\n" * 3_000, **{"Content-Type": "message/rfc822"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_mail_that_would_take_long_is_refused(company: Company, owner: Client, name: str) -> None:
    since = time.process_time()
    with pytest.raises(Invalid):
        read_mail(HOSTILE[name])
    assert time.process_time() - since < 2
    refused = await take(owner, HOSTILE[name])
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "invalid_mail")
    assert (await count(company, "leads.leads"), await rows(company, "leads.captured_mails")) == (0, 0)


@pytest.mark.parametrize("text", [
    "<!--", "<a ", "<a b='", "<a b='x'>", '<a " =">', '<a =">', "<script>", "<p", "<", "&#", "&lt", "<head>", "</p ",
    "=  ", "<title></titl",
])  # fmt: skip
def test_html_takes_one_pass(text: str) -> None:
    since = time.process_time()
    raw = mail("Hello " + text * 20_000, **{"Content-Type": "text/html"})
    assert read_mail(raw).text.startswith("Hello")
    assert time.process_time() - since < 2


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<p title="a > b">x</p>', "x"),
        ("a<!-- > --> b <BR>c", "a b\nc"),
        ("1 < 2 &amp;&lt;br&gt; <3", "1 < 2 &<br> <3"),
        ("<head><title>t</title><meta x></head>y", "y"),
        ("<head><style>a</style><body>y", "y"),
        ("<SCRIPT>a</b><p></script >y", "y"),
        ("<a b='x>y</a> z", "y z"),
        ("x &#" + "9" * 5_000 + "; y", "x \ufffd y"),
        ("<!doctype html><?xml?>x", "x"),
    ],
)
def test_the_text_of_html(html: str, text: str) -> None:
    assert read_mail(mail(html, **{"Content-Type": "text/html"})).text == text


def test_comments_and_groups_without_end_are_no_sender() -> None:
    for sender in ("(" * 1_000, "a:" * 1_000, "(" * 900 + ")" * 900):
        with pytest.raises(Invalid) as refusal:
            read_mail(mail(From=sender))
        assert refusal.value.status == 422
    assert read_mail(mail(From="((a) b) Li (c) <li@x.example.com>")).name == "Li"


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("punycode", b"a" * 200_000, "a" * 20_000),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("nope", "泵".encode(), "泵"),
        ("GBK", "泵".encode("gbk"), "泵"),
        ("Shift_JIS", "ポンプ".encode("shift_jis"), "ポンプ"),
        ("iso-8859-1", b"M\xfcller", "Müller"),
        ('"Windows-1252"', b"10 \x80", "10 €"),
    ],
)
def test_character_sets(charset: str, body: bytes, text: str) -> None:
    raw = mail("@", **{"Content-Type": f"text/plain; charset={charset}"}).replace(
        b"\r\n@\r\n", b"\r\n" + body
    )
    assert read_mail(raw).text == text


def test_the_plain_part_is_read_and_attachments_are_not() -> None:
    body = (
        '--o\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="a"\r\n\r\nno\r\n'
        '--o\r\nContent-Type: multipart/alternative;\r\n boundary="i n"\r\n\r\n'
        "--i n\r\nContent-Type: text/html\r\n\r\n<b>no</b>\r\n"
        "--i n\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5rO1\r\nIQ\r\n"
        "--i n--\r\n--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nno\r\n--o--\r\n"
    )
    assert read_mail(mail(body, **{"Content-Type": "multipart/mixed; boundary=o"})).text == "泵!"
    related = "--o\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>a=C3=\r\n=A9\r\n--o\r\n\r\nno"
    assert read_mail(mail(related, **{"Content-Type": "multipart/related; boundary=o"})).text == "aé"


def test_encoded_words_that_share_a_character_are_joined() -> None:
    raw = mail(Subject="Re: =?utf-8?b?5rM=?=\r\n =?UTF-8*zh?q?=B5_x?= =?gbk?b?sck=?= end")
    assert read_mail(raw).subject == "Re: 泵 x" + b"\xb1\xc9".decode("gbk") + " end"


@given(st.lists(st.sampled_from([b"From: ", b"a@b.cc", b"\r\n", b" ", b"=?utf-8?q?=ff?=", b'"', b"<", b">", b":", b";", b",",
                                 b"Content-Type: multipart/mixed; boundary=x\r\n", b"--x", b"\xff", b"\x00", b"Subject: ",
                                 b"Message-ID: <", b"Content-Transfer-Encoding: base64\r\n", b"(", b"[",
                                 b"Content-Type: text/plain; charset=nope\r\n"]), max_size=40))  # fmt: skip
def test_any_bytes_are_a_mail_or_refused(parts: list[bytes]) -> None:
    with contextlib.suppress(Invalid):
        read_mail(b"".join(parts))
