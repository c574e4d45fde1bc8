"""Finding articles: terms of both languages, how sure a suggestion is, and what is shown of it."""

from __future__ import annotations

from decimal import Decimal
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.access import Scope
from app.modules.after_sales.services.knowledge.confidence import confidence, weight
from app.modules.after_sales.services.knowledge.finding import Finder, Wanted
from app.modules.after_sales.services.knowledge.passages import marked, passage
from app.modules.after_sales.services.knowledge.terms import found_by, stem, terms_of
from tests.modules.after_sales.knowledge.articles import published, step
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company


@pytest.mark.parametrize(
    ("words", "term"),
    [
        (("printer", "printers"), "printer"),
        (("print", "prints", "printing", "printed"), "print"),
        (("update", "updates", "updated", "updating"), "updat"),
        (("battery", "batteries"), "battery"),
        (("stop", "stopped", "stopping"), "stop"),
        (("boss", "bosses"), "boss"),
        (("status",), "status"),
        (("e-5",), "e-5"),
    ],
)
def test_an_english_word_is_a_term_without_its_ending(words: tuple[str, ...], term: str) -> None:
    assert {stem(word) for word in words} == {term}


def test_terms_of_both_languages() -> None:
    assert terms_of("How do I reset the Password of my ROUTER?") == ["reset", "password", "router"]
    assert terms_of("如何重置密码") == ["如何", "何重", "重置", "置密", "密码"]
    assert terms_of("锁") == ["锁"]
    assert set("密码锁") <= set(found_by("密码锁"))


@given(st.text(max_size=300))
def test_every_text_has_terms_that_it_is_found_by_and_pieces_that_make_it_up(text: str) -> None:
    assert set(terms_of(text)) <= set(found_by(text))
    assert "".join(piece.text for piece in marked(text, set(terms_of(text)))) == text
    assert "".join(piece.text for piece in passage(text, set(terms_of(text)))) in text


def test_a_passage_shows_where_most_of_it_is() -> None:
    text = "Nothing here. " * 40 + "Press reset, then enter the password twice. " + "More. " * 40
    pieces = passage(text, {"reset", "password"})
    assert [piece.text for piece in pieces if piece.match] == ["reset", "password"]
    assert sum(len(piece.text) for piece in pieces) == 160
    chinese = marked("请重置密码锁", {"重置", "密码"})
    assert [(piece.text, piece.match) for piece in chinese] == [
        ("请", False),
        ("重置密码", True),
        ("锁", False),
    ]


def test_confidence_is_the_root_of_what_is_covered_and_what_is_named() -> None:
    weights = {"reset": weight(10, 1), "password": weight(10, 4), "router": weight(10, 0)}
    assert weights == {"reset": log(6), "password": log(3), "router": log(11)}
    asked = ["reset", "password", "router"]
    sure = confidence(asked, {"reset": True, "password": False}, weights, title_terms=2)
    expected = sqrt((log(6) + log(3) / 2) / (log(6) + log(3) + log(11)) * 1 / 2)
    assert sure == Decimal(expected).quantize(Decimal("0.0001"))
    whole = {"reset": True, "password": True, "router": True}
    assert confidence(asked, whole, weights, title_terms=3) == Decimal("1.0000")
    assert confidence(asked, whole, weights, title_terms=3, other_product=True) == Decimal("0.5000")
    assert confidence(asked, {}, weights, title_terms=3) == 0


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.booleans()),
    st.integers(1, 8),
    st.integers(1, 100),
    st.booleans(),
)
def test_confidence_lies_between_nothing_and_one_and_grows_with_what_is_found(
    found: dict[str, bool], title_terms: int, articles: int, other: bool
) -> None:
    weights = {term: weight(articles, min(articles, at)) for at, term in enumerate("abcdefgh")}
    sure = confidence("abcdefgh", found, weights, title_terms=title_terms, other_product=other)
    assert 0 <= sure <= 1
    more = confidence("abcdefgh", found | {"a": True}, weights, title_terms=title_terms, other_product=other)
    assert more >= sure


async def library(owner: Client) -> dict[str, str]:
    """Three articles; their ids."""
    product = await make(owner, "products", code="R-1", name="Router")
    return {
        "password": (await published(owner, audience="public"))["id"],
        "router": (
            await published(
                owner, "Restart the router", audience="customers", product_id=product["id"],
                body="Hold the button. Your password stays.",
            )
        )["id"],
        "zh": (await published(owner, "重置密码", language="zh", body="打开安全设置，点击重置。"))["id"],
        "product": product["id"],
    }  # fmt: skip


async def test_search_finds_english_and_chinese_the_best_first(owner: Client) -> None:
    ids = await library(owner)

    async def found(q: str, **more: str) -> list[str]:
        answer = await owner.ok("GET", "/v1/knowledge/search", params={"q": q} | more)
        return [hit["article"]["id"] for hit in answer["data"]]

    assert await found("passwords") == [ids["password"], ids["router"]]
    assert await found("如何重置") == [ids["zh"]]
    assert await found("置") == [ids["zh"]]
    assert await found("密码", language="en") == []
    assert await found("password", audience="customers") == [ids["router"]]
    assert (await owner.get("/v1/knowledge/search", params={"q": "the of"})).status_code == 400
    hit = (await owner.ok("GET", "/v1/knowledge/search", params={"q": "安全"}))["data"][0]
    assert hit["passage"] == [
        {"text": "打开", "match": False},
        {"text": "安全", "match": True},
        {"text": "设置，点击重置。", "match": False},
    ]
    assert Decimal(hit["score"]) == Decimal("0.5")


async def test_a_case_gets_articles_with_how_sure_they_are(owner: Client) -> None:
    ids = await library(owner)
    case = await make(owner, "cases", subject="Password reset", channel="web")
    found = (await owner.ok("GET", f"/v1/cases/{case['id']}/suggestions"))["data"]
    assert [(one["article"]["id"], one["confidence"]) for one in found] == [(ids["password"], "1")]
    about = await make(
        owner, "cases", subject="Restarting the router", channel="web", product_id=ids["product"]
    )
    found = (await owner.ok("GET", f"/v1/cases/{about['id']}/suggestions"))["data"]
    assert [(one["article"]["id"], one["confidence"]) for one in found] == [(ids["router"], "1")]
    other = await make(owner, "cases", subject="Restarting the router", channel="web")
    found = (await owner.ok("GET", f"/v1/cases/{other['id']}/suggestions"))["data"]
    assert found[0]["confidence"] == "0.5"
    public = await owner.ok("GET", f"/v1/cases/{other['id']}/suggestions", params={"audience": "public"})
    assert public["data"] == []
    chinese = await make(owner, "cases", subject="重置密码", channel="web")
    found = (await owner.ok("GET", f"/v1/cases/{chinese['id']}/suggestions"))["data"]
    assert [(one["article"]["id"], one["confidence"]) for one in found] == [(ids["zh"], "1")]


async def test_archived_articles_and_those_of_others_are_not_suggested(
    company: Company, rival: Company
) -> None:
    made = await published(company.owner)
    case = await make(rival.owner, "cases", subject="Reset your password", channel="web")
    assert (await rival.owner.ok("GET", f"/v1/cases/{case['id']}/suggestions"))["data"] == []
    assert (await company.owner.get(f"/v1/cases/{case['id']}/suggestions")).status_code == 404
    await step(company.owner, made, "archive")
    assert (await company.owner.ok("GET", "/v1/knowledge/search", params={"q": "password"}))["data"] == []


async def test_searching_takes_two_statements_however_many_articles_there_are(company: Company) -> None:
    counts = []
    for _ in range(2):
        for number in range(6):
            await published(company.owner, f"Reset password number {number}")
        async with acting(company) as uow:
            await Finder(uow).search("reset password", Wanted(), limit=10)
            counts.append(uow.statements)
    assert counts == [2, 2]


async def test_who_reads_only_their_own_articles_finds_only_those(company: Company) -> None:
    await published(company.owner)
    stranger = colleague(await actor_of(company), article_read=Scope.OWN)
    async with acting(company, stranger) as uow:
        assert await Finder(uow).search("password", Wanted(), limit=10) == []
