"""The public page of an offer attacked: hostile text, forged requests, and links of others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.main import Application
from tests.modules.quotes.offers import account_of, again, line, quote_of, sent_quote, step
from tests.modules.quotes.pages import FORM, Customer, link_of, rows_in

Json = dict[str, Any]
NASTY = "'\"><img src=x onerror=alert(1)><script>alert(1)</script>{total}%s\u202e\u0007"


@pytest.fixture(autouse=True)
def fresh_limits(app: Application) -> None:
    assert app.kernel is not None
    app.kernel.limiter._attempts.clear()


async def test_hostile_text_is_text_wherever_it_comes_from(app, owner):
    account = await account_of(owner, name=NASTY)
    lines = [
        line("10.00", description=NASTY, detail=NASTY, unit="'><b>"),
        line("5.00", description=NASTY, optional=True),
    ]
    quote = await sent_quote(
        owner, *lines, account_id=account["id"], name=NASTY, terms=NASTY + "\r\n" + NASTY,
        signature_required=True, payment_required=True,
    )  # fmt: skip
    customer = Customer(app, await link_of(owner, quote))
    pages = [
        await customer.look("?lang=en"),
        await customer.look("?lang=zh"),
        await customer.look(f"?lang={'%0d%0aSet-Cookie:%20a=b'}"),
        await customer.accept(name="", signature=NASTY, note=NASTY, job_title=NASTY, payment_reference=NASTY),
        await customer.decline(reason=NASTY * 40),
        await customer.accept(choose=NASTY),
    ]
    await customer.look("?lang=en")
    done = await customer.accept(name=NASTY, signature=NASTY, payment_reference=NASTY, note=NASTY)
    assert done.status_code == 303
    pages.append(await customer.look())
    for page in pages:
        assert page.status_code in (200, 422), page.text
        assert "set-cookie" not in page.headers
        assert not re.search(r"<(script|img|b)\b(?! src=\"/public)", page.text)
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (await again(owner, quote))["status"] == "accepted"
    paper = await customer.client.get(customer.path + "/pdf?lang=zh")
    assert (paper.status_code, paper.headers["content-type"]) == (200, "application/pdf")
    assert re.fullmatch(r'inline; filename="[A-Za-z0-9-]+\.pdf"', paper.headers["content-disposition"])


@pytest.mark.parametrize("reason", ["\ud800", "a\x01b\x1f", "\r\n\r\n", "x" * 2_000, "%", "\u202e", "\ufffe"])
async def test_whatever_a_customer_writes_is_taken_or_refused(app, company, owner, reason):
    quote = await sent_quote(owner)
    customer = Customer(app, await link_of(owner, quote))
    await customer.look()
    raw = reason.encode("utf-8", "surrogatepass").hex()
    sent = "do=decline&reason=" + "".join(f"%{raw[at : at + 2]}" for at in range(0, len(raw), 2))
    answer = await customer.client.request("POST", customer.path, content=sent.encode(), headers=FORM)
    assert answer.status_code in (303, 200, 422), answer.text
    sent = sent.replace("do=decline&reason", f"do=accept&agree=on&seal={customer.seal}&name")
    answer = await customer.client.request("POST", customer.path, content=sent.encode(), headers=FORM)
    assert answer.status_code in (303, 200, 409, 422), answer.text


async def test_what_no_form_of_ours_sends_changes_nothing(app, company, owner):
    quote = await sent_quote(owner)
    customer = Customer(app, await link_of(owner, quote))
    await customer.look()
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (b'{"do": "accept", "name": "X", "agree": "on"}', {"Content-Type": "application/json"}),
        (b"\xff\xfe\x00", FORM),
        (b"do=accept&" * 700, FORM),
        (b"do=accept&name=X&agree=on&seal=", FORM),
        (b"do=accept&name=X&agree=on&seal=%00%ff", FORM),
        (b"do=%F0%9F%92%A9&name=X&agree=on&seal=x.y.z", FORM),
        (b"", FORM),
    ]
    for body, headers in bodies:
        answer = await customer.client.request("POST", customer.path, content=body, headers=headers)
        assert answer.status_code in (200, 400, 413, 415, 422), (body, answer.status_code)
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await customer.client.request(method, customer.path)).status_code == 405
    huge = await customer.client.request("POST", customer.path, content=b"a" * 70_000, headers=FORM)
    assert huge.status_code in (400, 413)
    assert (await again(owner, quote))["status"] == "viewed"
    assert await rows_in(company, "quotes.quote_answers") == 0


async def test_a_seal_of_one_offer_fits_no_other(app, company, owner):
    first, second = await sent_quote(owner, line("1.00")), await sent_quote(owner, line("1000.00"))
    one, other = [Customer(app, await link_of(owner, quote)) for quote in (first, second)]
    await one.look()
    await other.look()
    answer = await other.accept(seal=one.seal)
    assert answer.status_code == 200
    assert (await again(owner, second))["status"] == "viewed"


async def test_tokens_are_told_apart_by_nothing_and_fit_no_other_place(app, owner, rival):
    quote = await sent_quote(owner)
    path = await link_of(owner, quote)
    token = path.removeprefix("/q/")
    customer = Customer(app, path)
    wrong = [
        token[:-1], token + "A", token.swapcase(), token.replace("rl_", "", 1), "rl_" + "A" * 80, "rl_", "x" * 5_000,
        "%00", "%0d%0aX-A:%20b", token[:30] + token[31:], "..%2f..%2fetc", quote["id"],
    ]  # fmt: skip
    answers = [await customer.client.get(f"/q/{one}") for one in wrong if one]
    pages = {(answer.status_code, answer.text) for answer in answers if answer.status_code != 404}
    assert pages == set()
    assert len({answer.text for answer in answers if "text/html" in answer.headers["content-type"]}) == 1
    assert all("x-a" not in answer.headers for answer in answers)
    for place in ("/v1/me", f"/v1/quotes/{quote['id']}", "/v1/quotes"):
        answer = await customer.client.get(place, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    for place in (f"/v1/quotes/{quote['id']}/links", f"/v1/quotes/{quote['id']}/pdf"):
        assert (await rival.owner.get(place)).status_code == 404


async def test_a_link_of_another_quote_is_not_revoked_by_the_way(owner, unchanged):
    mine, other = await sent_quote(owner), await sent_quote(owner)
    await link_of(owner, other)
    [link] = (await owner.ok("GET", f"/v1/quotes/{other['id']}/links"))["data"]
    async with unchanged():
        assert (await owner.delete(f"/v1/quotes/{mine['id']}/links/{link['id']}")).status_code == 404


async def test_what_was_sent_changes_by_no_path(owner, unchanged):
    quote = await sent_quote(owner)
    other = await quote_of(owner, external_id="key-1")
    await step(owner, other, "send", by_mail=False)
    other = await again(owner, other)
    quote = await again(owner, quote)
    change = {"terms": "Mine now", "discount_percent": "99"}
    async with unchanged():
        path, version = f"/v1/quotes/{quote['id']}", quote["version"]
        upsert = {
            "key": "external_id",
            "record": {"external_id": "key-1", "account_id": other["account_id"]} | change,
        }
        for answer in (
            await owner.patch(path, change, if_match=version),
            await owner.patch(path, {"lines": []}, if_match=version),
            await owner.patch(path, {"account_id": other["account_id"]}, if_match=version),
            await owner.post(f"{path}/reprice", if_match=version),
            await owner.delete(path, if_match=version),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "quote_immutable"), answer.text
        for verb, item in (
            ("update", {"id": quote["id"], "version": version, "record": change}),
            ("upsert", upsert),
            ("delete", {"id": quote["id"], "version": version}),
        ):
            answer = await owner.post(f"/v1/quotes/batch/{verb}", {"items": [item]})
            assert answer.status_code == 207, answer.text
            assert [one["error"]["code"] for one in answer.json()["results"]] == ["quote_immutable"], verb
    assert await again(owner, quote) == quote
    assert await again(owner, other) == other
