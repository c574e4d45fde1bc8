"""Custom fields: what a definition allows is stored, found and sorted; the rest is refused with its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.kernel.access import Actor
from app.kernel.custom_fields import CustomFields
from app.kernel.custom_fields.definitions import (
    Definitions,
    IndexField,
    TooManyCustomFields,
    _fill_index,
    json_schema,
)
from app.kernel.custom_fields.models import FieldType
from app.kernel.custom_fields.schemas import CustomFieldCreate, CustomFieldUpdate
from app.kernel.custom_fields.values import from_text
from app.kernel.errors import DuplicateValue, Invalid, InvalidFilter
from app.kernel.jobs import JobContext
from app.kernel.listing import query_from_body, query_from_parameters
from app.kernel.record_reads import list_records
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from tests.support.kernel import bare_kernel, new_tenant
from tests.support.toy import TOY, Toy, ToyService


@pytest.fixture
async def kernel(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path) as found:
        yield found


@pytest.fixture
def actor() -> Actor:
    return new_tenant(currency="EUR")


async def define(kernel: Kernel, actor: Actor, key: str, kind: str, **options: Any) -> UUID:
    body = CustomFieldCreate.model_validate(
        {"object": "toy", "key": key, "type": kind, "labels": {"en": key.title()}} | options
    )
    async with transaction(kernel, actor) as uow:
        return (await Definitions(uow).create(body)).id


async def create(kernel: Kernel, actor: Actor, name: str, **custom: Any) -> Toy:
    async with transaction(kernel, actor) as uow:
        return await ToyService(uow).create(
            {"name": name, "colour": "red", "fragile": False, "custom": custom}
        )


async def change(kernel: Kernel, actor: Actor, toy: Toy, **custom: Any) -> Toy:
    async with transaction(kernel, actor) as uow:
        return await ToyService(uow).update(toy.id, {"custom": custom}, expected_version=None)


async def names(kernel: Kernel, actor: Actor, **parameters: str) -> list[str]:
    query = query_from_parameters([(name.replace("__", "."), value) for name, value in parameters.items()])
    return await page(kernel, actor, query)


async def page(kernel: Kernel, actor: Actor, query: Any) -> list[str]:
    async with transaction(kernel, actor, read_only=True) as uow:
        return [row["name"] for row in orjson.loads(await list_records(uow, TOY, query))["data"]]


async def found(kernel: Kernel, actor: Actor, field: str, op: str, value: Any = None) -> list[str]:
    body = {
        "filter": {"or": [{"and": [{"field": f"custom.{field}", "op": op, "value": value}]}]},
        "sort": ["name"],
    }
    return await page(kernel, actor, query_from_body(body))


def refusals(refused: pytest.ExceptionInfo[Any]) -> list[tuple[str, str]]:
    return [(error.pointer, error.code) for error in refused.value.errors]


KINDS: list[tuple[str, Any, Any]] = [
    ("text", " north ", "north"),
    ("long_text", "two\nlines", "two\nlines"),
    ("integer", 42, 42),
    ("decimal", "12.50", "12.5"),
    ("money", {"amount": "12.5", "currency": "EUR"}, {"amount": "12.50", "currency": "EUR"}),
    ("date", "2026-02-28", "2026-02-28"),
    ("datetime", "2026-02-28T10:00:00+08:00", "2026-02-28T02:00:00Z"),
    ("boolean", False, False),
    ("select", "gold", "gold"),
    ("multi_select", ["silver", "gold"], ["gold", "silver"]),
    ("url", "Example.com/a", "https://example.com/a"),
    ("email", "Ada@Example.COM", "Ada@example.com"),
    ("phone", "+86 138 0013 8000", "+86 138 0013 8000"),
]
OPTIONS = {
    "options": [
        {"key": key, "labels": {"en": key.title(), "zh": zh}}
        for key, zh in (("gold", "金"), ("silver", "银"))
    ]
}


@pytest.mark.parametrize(("kind", "sent", "stored"), KINDS, ids=[kind for kind, *_ in KINDS])
async def test_each_type_is_stored_in_its_one_form_and_found_again(
    kernel: Kernel, actor: Actor, kind: str, sent: Any, stored: Any
):
    await define(kernel, actor, "extra", kind, **(OPTIONS if "select" in kind else {}))
    await create(kernel, actor, "other")
    toy = await create(kernel, actor, "toy", extra=sent)
    assert toy.custom == {"extra": stored}
    if kind == "money":
        assert await found(kernel, actor, "extra", "between", ["12.5", "200"]) == ["toy"]
        assert await found(kernel, actor, "extra", "gt", "12.50") == []
        assert await found(kernel, actor, "extra", "eq", "12.50") == ["toy"]
    elif kind == "multi_select":
        assert await found(kernel, actor, "extra", "has_any", ["gold"]) == ["toy"]
        assert await found(kernel, actor, "extra", "has_all", ["gold", "silver"]) == ["toy"]
    else:
        assert await found(kernel, actor, "extra", "eq", stored) == ["toy"]
    assert await found(kernel, actor, "extra", "is_null", True) == ["other"]


BAD: list[tuple[str, Any, str]] = [
    ("text", 5, "string_type"),
    ("text", "  ", "string_too_short"),
    ("text", "x" * 501, "string_too_long"),
    ("text", "a\0b", "nul_character"),
    ("text", "\ud800", "invalid_text"),
    ("integer", "5", "int_type"),
    ("integer", True, "int_type"),
    ("integer", 2**63, "out_of_range"),
    ("decimal", "1e400", "out_of_range"),
    ("decimal", "NaN", "out_of_range"),
    ("decimal", "1,5", "decimal_type"),
    ("money", {"amount": "1.234", "currency": "EUR"}, "invalid_money"),
    ("money", {"amount": "1", "currency": "XXQ"}, "invalid_money"),
    ("money", "5 EUR", "money_type"),
    ("date", "2026-02-30", "date_type"),
    ("date", "0000-01-01", "date_type"),
    ("date", "20260101", "date_type"),
    ("datetime", "2026-02-28T10:00:00", "datetime_type"),
    ("datetime", "9999-12-31T23:59:59-10:00", "datetime_type"),
    ("boolean", "true", "bool_type"),
    ("boolean", 1, "bool_type"),
    ("select", "bronze", "unknown_option"),
    ("multi_select", ["gold", {}], "unknown_option"),
    ("multi_select", "gold", "list_type"),
    ("url", "javascript:alert(1)", "invalid_format"),
    ("email", "nobody", "invalid_format"),
    ("phone", "call me", "invalid_format"),
]


@pytest.mark.parametrize(("kind", "value", "code"), BAD)
async def test_a_wrong_value_is_refused_at_its_place_and_nothing_is_written(
    kernel: Kernel, actor: Actor, kind: str, value: Any, code: str
):
    await define(kernel, actor, "extra", kind, **(OPTIONS if "select" in kind else {}))
    with pytest.raises(Invalid) as refused:
        await create(kernel, actor, "toy", extra=value)
    assert refusals(refused) == [("/custom/extra", code)]
    assert await names(kernel, actor) == []


async def test_an_unknown_field_is_refused_in_values_and_in_filters(kernel: Kernel, actor: Actor):
    with pytest.raises(Invalid) as refused:
        await create(kernel, actor, "toy", **{"a/b": 1})
    assert refusals(refused) == [("/custom/a~1b", "unknown_field")]
    with pytest.raises(InvalidFilter):
        await names(kernel, actor, custom__region="north")


async def test_a_field_of_another_company_is_unknown(kernel: Kernel, actor: Actor):
    await define(kernel, new_tenant(), "region", "text")
    with pytest.raises(Invalid):
        await create(kernel, actor, "toy", region="north")


async def test_a_required_field_is_asked_for_and_a_default_fills_in(kernel: Kernel, actor: Actor):
    old = await create(kernel, actor, "old")
    await define(kernel, actor, "region", "text", required=True)
    await define(kernel, actor, "stars", "integer", default=3)
    with pytest.raises(Invalid) as refused:
        await create(kernel, actor, "toy")
    assert refusals(refused) == [("/custom/region", "required")]
    toy = await create(kernel, actor, "toy", region="north")
    assert toy.custom == {"region": "north", "stars": 3}
    with pytest.raises(Invalid) as refused:
        await change(kernel, actor, toy, region=None)
    assert refusals(refused) == [("/custom/region", "required")]
    assert (await change(kernel, actor, old, stars=1)).custom == {"stars": 1}


async def test_a_patch_merges_and_null_clears(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "region", "text")
    await define(kernel, actor, "stars", "integer")
    toy = await create(kernel, actor, "toy", region="north", stars=1)
    assert (await change(kernel, actor, toy, region=None, stars=2)).custom == {"stars": 2}


RULES: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("integer", {"min": "1", "max": "5"}, 5, 6),
    ("decimal", {"min": "0.5"}, "0.50", "0.49"),
    ("money", {"max": "100"}, {"amount": "100", "currency": "EUR"}, {"amount": "100.01", "currency": "EUR"}),
    ("date", {"min": "2026-01-01"}, "2026-01-01", "2025-12-31"),
    ("datetime", {"max": "2026-01-01T00:00:00Z"}, "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:01Z"),
    ("text", {"min_length": 2, "max_length": 3}, "abc", "abcd"),
    ("text", {"pattern": "[A-Z]{2}[0-9]+"}, "DE7", "DE7 "[:-1] + "x"),
]


@pytest.mark.parametrize(("kind", "rule", "good", "bad"), RULES)
async def test_a_rule_limits_what_is_taken(
    kernel: Kernel, actor: Actor, kind: str, rule: dict[str, Any], good: Any, bad: Any
):
    await define(kernel, actor, "extra", kind, rule=rule)
    await create(kernel, actor, "good", extra=good)
    with pytest.raises(Invalid) as refused:
        await create(kernel, actor, "bad", extra=bad)
    assert refusals(refused) == [("/custom/extra", "rule_violated")]


async def test_a_pattern_that_would_hang_elsewhere_answers_at_once(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "extra", "text", rule={"pattern": "(a+)+$"})
    with pytest.raises(Invalid):
        await create(kernel, actor, "toy", extra="a" * 400 + "!")


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"type": "text", "rule": {"pattern": "(?=a)"}}, "/rule"),
    ({"type": "text", "rule": {"min": "1"}}, "/rule"),
    ({"type": "integer", "rule": {"pattern": "1"}}, "/rule"),
    ({"type": "integer", "rule": {"min": "5", "max": "1"}}, "/rule"),
    ({"type": "integer", "rule": {"min": "one"}}, "/rule"),
    ({"type": "select"}, "/options"),
    ({"type": "text", **OPTIONS}, "/options"),
    ({"type": "boolean", "unique": True}, "/unique"),
    ({"type": "long_text", "indexed": True}, "/indexed"),
    ({"type": "integer", "default": "x"}, "/default"),
    ({"type": "text", "unique": True, "default": "x"}, "/default"),
    ({"type": "record"}, "/reference"),
    ({"type": "record", "reference": "ghost"}, "/reference"),
    ({"type": "text", "object": "ghost"}, "/object"),
]


@pytest.mark.parametrize(("definition", "pointer"), CONTRADICTIONS)
async def test_a_definition_that_contradicts_itself_is_refused(
    kernel: Kernel, actor: Actor, definition: dict[str, Any], pointer: str
):
    body = CustomFieldCreate.model_validate(
        {"object": "toy", "key": "extra", "labels": {"en": "X"}} | definition
    )
    async with transaction(kernel, actor) as uow:
        with pytest.raises(Invalid) as refused:
            await Definitions(uow).create(body)
        assert refusals(refused)[0][0] == pointer
        assert await Definitions(uow).list(None, archived=True) == []


async def test_a_unique_value_is_refused_twice_until_its_holder_is_gone(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "mail", "email", unique=True)
    first = await create(kernel, actor, "first", mail="ada@example.com")
    with pytest.raises(DuplicateValue) as refused:
        await create(kernel, actor, "second", mail="ADA@example.com")
    assert refusals(refused) == [("/custom/mail", "duplicate_value")]
    assert await names(kernel, actor) == ["first"]
    await change(kernel, actor, first, mail="ada@example.com")
    async with transaction(kernel, actor) as uow:
        await ToyService(uow).delete(first.id, expected_version=None)
    second = await create(kernel, actor, "second", mail="ada@example.com")
    await change(kernel, actor, second, mail=None)
    await create(kernel, actor, "third", mail="ada@example.com")


async def test_ranges_and_sorts_give_the_same_with_and_without_an_index(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "plain", "decimal")
    await define(kernel, actor, "fast", "decimal", indexed=True)
    for name, value in (("a", "2"), ("b", "10"), ("c", "-1.5"), ("d", None)):
        await create(kernel, actor, name, **({} if value is None else {"plain": value, "fast": value}))
    for field in ("plain", "fast"):
        assert await found(kernel, actor, field, "gte", "2") == ["a", "b"]
        assert await found(kernel, actor, field, "between", ["-2", "2.0"]) == ["a", "c"]
        assert await found(kernel, actor, field, "in", ["10", "-1.50"]) == ["b", "c"]
        assert await found(kernel, actor, field, "ne", "2") == ["b", "c", "d"]
        assert await names(kernel, actor, sort=f"custom.{field}") == ["c", "a", "b", "d"]
        assert await names(kernel, actor, sort=f"-custom.{field}") == ["d", "b", "a", "c"]


async def test_pages_sorted_by_a_custom_field_lose_and_repeat_nothing(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "stars", "integer", indexed=True)
    for number in range(7):
        await create(kernel, actor, f"t{number}", **({} if number % 3 == 0 else {"stars": number % 2}))
    seen: list[str] = []
    query = query_from_parameters([("sort", "custom.stars,name"), ("limit", "2")])
    while True:
        async with transaction(kernel, actor, read_only=True) as uow:
            answer = orjson.loads(await list_records(uow, TOY, query))
        seen += [row["name"] for row in answer["data"]]
        if not answer["has_more"]:
            break
        query = replace(query, cursor=answer["next_cursor"])
    assert seen == ["t2", "t4", "t1", "t5", "t0", "t3", "t6"]


async def test_chosen_fields_may_be_custom(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "price", "money")
    await define(kernel, actor, "levels", "multi_select", **OPTIONS)
    await create(kernel, actor, "toy", price={"amount": "5", "currency": "JPY"}, levels=["gold"])
    async with transaction(kernel, actor, read_only=True) as uow:
        query = query_from_parameters([("fields", "custom.price,custom.levels")])
        row = orjson.loads(await list_records(uow, TOY, query))["data"][0]
    assert row["custom.price"] == {"amount": "5", "currency": "JPY"}
    assert row["custom.levels"] == ["gold"]


async def test_a_reference_must_be_a_record_that_one_may_see(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "twin", "record", reference="toys")
    other = await create(kernel, new_tenant(), "foreign")
    mine = await create(kernel, actor, "mine")
    with pytest.raises(Invalid) as refused:
        await create(kernel, actor, "toy", twin=str(other.id))
    assert refusals(refused) == [("/custom/twin", "unknown_reference")]
    toy = await create(kernel, actor, "toy", twin=str(mine.id))
    assert await found(kernel, actor, "twin", "eq", str(mine.id)) == ["toy"]
    assert toy.custom == {"twin": str(mine.id)}


async def test_an_archived_field_is_out_of_use_and_comes_back_with_its_values(kernel: Kernel, actor: Actor):
    id = await define(kernel, actor, "region", "text", required=True)
    toy = await create(kernel, actor, "toy", region="north")
    async with transaction(kernel, actor) as uow:
        await Definitions(uow).archive(id, expected_version=1)
    with pytest.raises(Invalid):
        await change(kernel, actor, toy, region="south")
    with pytest.raises(InvalidFilter):
        await names(kernel, actor, custom__region="north")
    await create(kernel, actor, "another")
    async with transaction(kernel, actor) as uow:
        await Definitions(uow).restore(id, expected_version=2)
    assert await names(kernel, actor, custom__region="north") == ["toy"]


async def test_an_archived_option_stays_where_it_is_and_is_not_chosen_anew(kernel: Kernel, actor: Actor):
    id = await define(kernel, actor, "level", "select", **OPTIONS)
    toy = await create(kernel, actor, "toy", level="silver")
    async with transaction(kernel, actor) as uow:
        body = CustomFieldUpdate.model_validate({"options": OPTIONS["options"][:1]})
        after = await Definitions(uow).update(id, body, expected_version=1)
    assert [(option["key"], option["archived"]) for option in after.options] == [
        ("gold", False),
        ("silver", True),
    ]
    await change(kernel, actor, toy, level="silver")
    with pytest.raises(Invalid):
        await create(kernel, actor, "new", level="silver")
    assert await found(kernel, actor, "level", "eq", "silver") == ["toy"]


async def test_a_field_that_becomes_unique_is_indexed_in_the_background_and_tells_conflicts(
    kernel: Kernel, actor: Actor
):
    id = await define(kernel, actor, "code", "text")
    for name, code in (("a", "1"), ("b", "2"), ("c", "1")):
        await create(kernel, actor, name, code=code)
    async with transaction(kernel, actor) as uow:
        body = CustomFieldUpdate(unique=True, indexed=True)
        after = await Definitions(uow).update(id, body, expected_version=1)
    assert after.index_state == "building"
    async with transaction(kernel, actor) as uow:
        jobs = await uow.fetch("SELECT name, payload FROM kernel.jobs WHERE tenant_id = $1", actor.tenant_id)
    assert [(job["name"], job["payload"]) for job in jobs] == [("custom_fields.index", {"field_id": str(id)})]
    assert await found(kernel, actor, "code", "gte", "2") == ["b"]
    context = JobContext(kernel=kernel, actor=actor, id=id, payload={}, attempt=1)
    assert await _fill_index(context, IndexField(field_id=id)) == {"written": 3, "conflicts": 1}
    async with transaction(kernel, actor) as uow:
        ready = await Definitions(uow).get(id)
    assert (ready.index_state, ready.conflicts) == ("ready", 1)
    assert await found(kernel, actor, "code", "gte", "1") == ["a", "b", "c"]
    with pytest.raises(DuplicateValue):
        await create(kernel, actor, "d", code="2")


async def test_a_record_type_has_a_limited_number_of_fields(
    kernel: Kernel, actor: Actor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.kernel.custom_fields.definitions.MAX_FIELDS", 2)
    await define(kernel, actor, "a", "text")
    await define(kernel, actor, "b", "text")
    with pytest.raises(TooManyCustomFields):
        await define(kernel, actor, "c", "text")


async def test_without_definitions_lists_and_writes_cost_no_query_after_the_first(
    kernel: Kernel, actor: Actor
):
    await names(kernel, actor)
    async with transaction(kernel, actor) as uow:
        assert await kernel.custom_fields.listing_fields(uow, "toy") == {}
        assert (await kernel.custom_fields.clean(uow, "toy", {})).stored == {}
        assert uow.statements == 0


async def test_another_process_obeys_a_new_definition_within_the_bound(kernel: Kernel, actor: Actor):
    seconds = 100.0
    other = CustomFields(seconds=lambda: seconds)
    async with transaction(kernel, actor) as uow:
        assert (await other.clean(uow, "toy", {})).stored == {}
    await define(kernel, actor, "region", "text", required=True)
    seconds += 5.1
    async with transaction(kernel, actor) as uow:
        with pytest.raises(Invalid):
            await other.clean(uow, "toy", {})


async def test_rows_of_a_file_are_read_from_text_and_judged_one_by_one(kernel: Kernel, actor: Actor):
    await define(kernel, actor, "stars", "integer", required=True)
    await define(kernel, actor, "vip", "boolean")
    await define(kernel, actor, "levels", "multi_select", **OPTIONS)
    await define(kernel, actor, "price", "money")
    await define(kernel, actor, "twin", "record", reference="toy")
    twin = await create(kernel, actor, "twin", stars=1)
    rows = [
        {"stars": "3", "vip": "是", "levels": "银; Gold", "price": "12.50", "twin": str(twin.id)},
        {"stars": "", "vip": "no"},
        {"stars": "4", "twin": str(actor.tenant_id)},
    ]
    async with transaction(kernel, actor) as uow:
        before = uow.statements
        first, second, third = await kernel.custom_fields.clean_many(uow, "toy", rows, texts=True)
        assert uow.statements - before <= 3
    assert not isinstance(first, Invalid)
    assert first.stored == {
        "stars": 3, "vip": True, "levels": ["gold", "silver"], "twin": str(twin.id),
        "price": {"amount": "12.50", "currency": "EUR"},
    }  # fmt: skip
    assert isinstance(second, Invalid)
    assert [error.pointer for error in second.errors] == ["/custom/stars"]
    assert isinstance(third, Invalid)
    assert [error.code for error in third.errors] == ["unknown_reference"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("12.50", ("12.50", "CNY")), ("-5 USD", ("-5", "USD")), ("USD 5", ("5", "USD")), ("5元", ("5", "CNY")),
        ("5€", ("5", "EUR")), ("JPY 5 ¥", ("5", "JPY")), ("5 $", ("5", "$")), ("USD 5 ¥", None), ("USD 5 EUR", None),
        ("1,00", None), ("12,5", None), ("5 5", None), ("5٣", None),
    ],
)  # fmt: skip
def test_an_amount_is_read_with_the_currency_beside_it(text: str, read: tuple[str, str] | None):
    found = from_text(FieldType.MONEY, text, {}, "CNY")
    assert found == (text if read is None else {"amount": read[0], "currency": read[1]})


async def test_the_definitions_are_told_as_json_schema(kernel: Kernel, actor: Actor):
    import jsonschema_rs

    await define(kernel, actor, "stars", "integer", required=True, rule={"min": "1", "max": "5"})
    await define(kernel, actor, "level", "select", labels={"en": "Level", "zh": "等级"}, **OPTIONS)
    async with transaction(kernel, actor) as uow:
        schema = json_schema("toy", await Definitions(uow).list("toy", archived=False), "zh")
    assert schema["properties"]["level"]["title"] == "等级"
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid({"stars": 5, "level": "gold"})
    for wrong in ({"stars": 6}, {"level": "gold"}, {"stars": 1, "level": "lead"}, {"stars": 1, "other": 1}):
        assert not validator.is_valid(wrong)
