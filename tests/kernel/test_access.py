"""Who reaches which rows and fields: scopes, sharing, transfer, field rules; a denial never changes anything."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from app.kernel.access import Actor, Scope, TenantProfile, visible_rows
from app.kernel.errors import Forbidden
from app.kernel.listing import Bindings
from tests.kernel.conftest import make_toy, member_id, refusal
from tests.support.waiting import until

ALL_ACTIONS = ("read", "create", "update", "delete", "assign", "share")


def grants(scope: str, *actions: str) -> dict[str, str]:
    return {f"toy:{action}": scope for action in actions or ALL_ACTIONS}


async def names(client: Any, **query: Any) -> set[str]:
    return {toy["name"] for toy in (await client.ok("GET", "/v1/toys", params=query))["data"]}


@pytest.fixture
async def house(owner, hire) -> dict[str, Any]:
    """A team North with a team Pole below it and a team South; a colleague with a toy in each."""
    north = await owner.ok("POST", "/v1/teams", json={"name": "North"})
    pole = await owner.ok("POST", "/v1/teams", json={"name": "Pole", "parent_id": north["id"]})
    south = await owner.ok("POST", "/v1/teams", json={"name": "South"})
    teams = {"north": north["id"], "pole": pole["id"], "south": south["id"]}
    people: dict[str, Any] = {"teams": teams}
    for name, team in teams.items():
        maker = people[name] = await hire(grants("own"), team_ids=[team])
        people[f"{name}_toy"] = await make_toy(maker, name=f"of {name}")
    people["owners_toy"] = await make_toy(owner, name="of owner")
    return people


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        ("own", {"mine"}),
        ("team", {"mine", "of north"}),
        ("team_and_below", {"mine", "of north", "of pole"}),
        ("all", {"mine", "of north", "of pole", "of south", "of owner"}),
    ],
)
async def test_a_scope_decides_which_rows_are_read_listed_found_changed_and_deleted(
    house, hire, unchanged, scope, reached
):
    reader = await hire(grants(scope), team_ids=[house["teams"]["north"]])
    mine = await make_toy(reader, name="mine")
    toys = {"mine": mine} | {f"of {name}": house[f"{name}_toy"] for name in ("north", "pole", "south")}
    toys["of owner"] = house["owners_toy"]
    assert await names(reader) == reached
    everything = {"or": [{"and": [{"field": "name", "op": "is_null", "value": False}]}]}
    found = await reader.ok("POST", "/v1/toys/search", json={"filter": everything})
    assert {toy["name"] for toy in found["data"]} == reached
    assert (await reader.ok("GET", "/v1/toys?include=total"))["total"] == len(reached)
    for name, toy in toys.items():
        path = f"/v1/toys/{toy['id']}"
        if name in reached:
            assert (await reader.get(path)).status_code == 200, name
            assert (await reader.get(f"{path}/history")).status_code == 200, name
            assert (await reader.patch(path, {"pieces": 1}, if_match=1)).status_code == 200, name
            assert (await reader.delete(path, if_match=2)).status_code == 204, name
            continue
        async with unchanged():
            for answer in (
                await reader.get(path), await reader.get(f"{path}/history"), await reader.get(f"{path}/shares"),
                await reader.patch(path, {"pieces": 1}, if_match=1), await reader.delete(path, if_match=1),
                await reader.post(f"{path}/shares", {"member_id": member_id(reader)}),
                await reader.post("/v1/toys/transfer", {"ids": [toy["id"]], "owner_id": member_id(reader)}),
            ):  # fmt: skip
                assert refusal(answer) == (404, "not_found"), name


async def test_seeing_is_not_changing(house, hire, unchanged):
    reader = await hire(grants("all", "read") | grants("own", "update", "delete", "share", "assign"))
    path = f"/v1/toys/{house['north_toy']['id']}"
    async with unchanged():
        assert refusal(await reader.patch(path, {"pieces": 1}, if_match=1)) == (403, "forbidden")
        assert refusal(await reader.delete(path, if_match=1)) == (403, "forbidden")
        assert refusal(await reader.post(f"{path}/shares", {"member_id": member_id(reader)})) == (
            403,
            "forbidden",
        )
        body = {"ids": [house["north_toy"]["id"]], "owner_id": member_id(reader)}
        assert refusal(await reader.post("/v1/toys/transfer", body)) == (403, "forbidden")
        batch = {"items": [{"id": house["north_toy"]["id"], "record": {"pieces": 1}}]}
        answer = await reader.post("/v1/toys/batch/update", batch)
        assert answer.json()["results"][0]["status"] == 403


async def test_without_a_permission_the_operation_is_forbidden_for_any_row(house, hire, unchanged):
    nobody = await hire({})
    async with unchanged():
        for method, path in (
            ("GET", "/v1/toys"), ("POST", "/v1/toys"), ("GET", f"/v1/toys/{house['north_toy']['id']}"),
            ("GET", f"/v1/toys/{uuid4()}"), ("DELETE", f"/v1/toys/{uuid4()}"), ("POST", "/v1/toys/search"),
        ):  # fmt: skip
            answer = await nobody.request(method, path, json={} if method == "POST" else None)
            assert refusal(answer) == (403, "forbidden")
            assert answer.json()["permission"].startswith("toy:")


# -- sharing -------------------------------------------------------------------------------------------------


async def test_a_share_shows_one_record_to_one_member_until_it_ends(house, hire, unchanged):
    friend = await hire(grants("own"), team_ids=[house["teams"]["south"]])
    maker, toy = house["north"], house["north_toy"]
    path = f"/v1/toys/{toy['id']}"
    assert (await friend.get(path)).status_code == 404
    made = await maker.ok("POST", f"{path}/shares", json={"member_id": member_id(friend)})
    assert (made["access"], made["member_id"], made["team_id"]) == ("read", member_id(friend), None)
    assert await names(friend) == {"of north"}
    async with unchanged():
        assert refusal(await friend.patch(path, {"pieces": 1}, if_match=1)) == (403, "forbidden")
        assert refusal(await friend.delete(path, if_match=1)) == (403, "forbidden")
    assert (await maker.delete(f"{path}/shares/{made['id']}")).status_code == 204
    assert (await friend.get(path)).status_code == 404


async def test_a_share_to_write_lets_a_team_change_the_record(house):
    toy, friend = house["north_toy"], house["south"]
    path = f"/v1/toys/{toy['id']}"
    body = {"team_id": house["teams"]["south"], "access": "write"}
    await house["north"].ok("POST", f"{path}/shares", json=body)
    assert (await friend.patch(path, {"pieces": 1}, if_match=1)).status_code == 200
    assert (await house["pole"].get(path)).status_code == 404


async def test_sharing_again_changes_the_access_of_the_same_share(house):
    path = f"/v1/toys/{house['north_toy']['id']}/shares"
    body = {"member_id": member_id(house["south"])}
    first = await house["north"].ok("POST", path, json=body)
    second = await house["north"].ok("POST", path, json=body | {"access": "write"})
    assert (second["id"], second["access"]) == (first["id"], "write")
    assert [share["id"] for share in await house["north"].ok("GET", path)] == [first["id"]]


async def test_sharing_is_in_the_history(house):
    path = f"/v1/toys/{house['north_toy']['id']}"
    made = await house["north"].ok("POST", f"{path}/shares", json={"member_id": member_id(house["south"])})
    await house["north"].ok("DELETE", f"{path}/shares/{made['id']}")
    history = (await house["north"].ok("GET", f"{path}/history"))["data"]
    assert [entry["action"] for entry in history] == ["unshared", "shared", "created"]


async def test_a_share_names_one_known_member_or_team(house, unchanged):
    path = f"/v1/toys/{house['north_toy']['id']}/shares"
    both = {"member_id": member_id(house["south"]), "team_id": house["teams"]["south"]}
    unknown = [{"member_id": str(uuid4())}, {"team_id": str(uuid4())}, {"member_id": "x"}]
    async with unchanged():
        for body in ({}, both, *unknown, {"access": "own"}):
            assert (await house["north"].post(path, body)).status_code == 422, body


async def test_nobody_can_share_with_or_give_to_another_company(owner, rival, unchanged):
    toy = await make_toy(owner)
    stranger = str(rival.member_id)
    async with unchanged():
        for method, path, body, version in (
            ("POST", f"/v1/toys/{toy['id']}/shares", {"member_id": stranger}, None),
            ("POST", "/v1/toys/transfer", {"ids": [toy["id"]], "owner_id": stranger}, None),
            ("PATCH", f"/v1/toys/{toy['id']}", {"owner_id": stranger}, 1),
            ("POST", "/v1/toys", {"name": "x", "owner_id": stranger}, None),
        ):
            answer = await owner.request(method, path, json=body, if_match=version)
            assert answer.status_code == 422, path
            assert answer.json()["errors"][0]["pointer"] in ("/member_id", "/owner_id")


# -- owner and team ------------------------------------------------------------------------------------------


async def test_a_new_record_belongs_to_its_maker_and_their_home_team(house):
    toy = house["pole_toy"]
    assert (toy["owner_id"], toy["team_id"]) == (member_id(house["pole"]), house["teams"]["pole"])


async def test_giving_a_record_away_moves_it_to_the_new_owners_team(owner, house):
    toy = house["north_toy"]
    changed = await owner.ok(
        "PATCH", f"/v1/toys/{toy['id']}", json={"owner_id": member_id(house["south"])}, if_match=1
    )
    assert changed["team_id"] == house["teams"]["south"]


@pytest.mark.parametrize("field", ["owner_id", "team_id"])
async def test_owner_and_team_must_exist(owner, unchanged, field):
    toy = await make_toy(owner)
    async with unchanged():
        for answer in (
            await owner.patch(f"/v1/toys/{toy['id']}", {field: str(uuid4())}, if_match=1),
            await owner.post("/v1/toys", {"name": "x", field: str(uuid4())}),
        ):
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{field}")


async def test_changing_owner_or_team_needs_the_right_to_assign(house, hire, unchanged):
    worker = await hire(grants("all", "read", "create", "update"), team_ids=[house["teams"]["north"]])
    toy = await make_toy(worker)
    async with unchanged():
        for body in (
            {"owner_id": member_id(house["south"])},
            {"owner_id": None},
            {"team_id": house["teams"]["south"]},
        ):
            answer = await worker.patch(f"/v1/toys/{toy['id']}", body, if_match=1)
            assert (*refusal(answer), answer.json()["permission"]) == (403, "forbidden", "toy:assign"), body


async def test_a_transfer_moves_all_records_or_none(owner, house, unchanged):
    ids = [house[f"{name}_toy"]["id"] for name in ("north", "pole", "south")]
    south = member_id(house["south"])
    async with unchanged():
        answer = await owner.post("/v1/toys/transfer", {"ids": [*ids, str(uuid4())], "owner_id": south})
        assert refusal(answer) == (404, "not_found")
    moved = await owner.ok("POST", "/v1/toys/transfer", json={"ids": ids, "owner_id": south})
    assert moved == {"transferred": ids[:2], "unchanged": ids[2:], "went_along": {}}
    assert {(await owner.ok("GET", f"/v1/toys/{id}"))["owner_id"] for id in ids} == {south}


# -- field rules ---------------------------------------------------------------------------------------------


@pytest.fixture
async def blinkered(hire) -> Any:
    """A colleague who may do everything with toys, but sees no e-mail and no price and may not change pieces."""
    rules = {"toy": {"hidden": ["email", "price"], "readonly": ["pieces"]}}
    return await hire(grants("all"), field_rules=rules)


async def test_a_hidden_field_is_in_no_answer(owner, blinkered):
    secret = {"email": "hidden@example.com", "price": {"amount": "9.99", "currency": "EUR"}}
    toy = await make_toy(owner, **secret)
    path = f"/v1/toys/{toy['id']}"
    await owner.ok("PATCH", path, json={"email": "hidden2@example.com"}, if_match=1)
    answers = [
        await blinkered.get(path), await blinkered.get("/v1/toys"), await blinkered.get(f"{path}/history"),
        await blinkered.post("/v1/toys/search", {}), await blinkered.patch(path, {"name": "Cube"}, if_match=2),
    ]  # fmt: skip
    for answer in answers:
        assert answer.is_success
        assert not {"email", "price"} & set(answer.json()), answer.url
        assert "hidden" not in answer.text
        assert "9.99" not in answer.text


async def test_a_hidden_field_cannot_be_guessed_by_filter_sort_search_or_choice(owner, blinkered):
    await make_toy(owner, email="hidden@example.com", price={"amount": "9.99", "currency": "EUR"})
    known = {"field": "email", "op": "eq", "value": "hidden@example.com"}
    for answer in (
        await blinkered.get("/v1/toys?email=hidden@example.com"), await blinkered.get("/v1/toys?sort=email"),
        await blinkered.get("/v1/toys?fields=email"), await blinkered.get("/v1/toys?price[gt]=1"),
        await blinkered.get("/v1/toys?sort=-price"),
        await blinkered.post("/v1/toys/search", {"filter": {"or": [{"and": [known]}]}}),
    ):  # fmt: skip
        assert refusal(answer) == (400, "invalid_filter"), answer.url
    unknown = await blinkered.get("/v1/toys?sort=nothing")
    hidden = await blinkered.get("/v1/toys?sort=email")
    assert unknown.json()["errors"][0]["code"] == hidden.json()["errors"][0]["code"] == "unknown_field"
    assert await names(blinkered, q="hidden@example.com") == set()
    assert await names(owner, q="hidden@example.com") == {"Ball"}
    assert await names(blinkered, q="ball") == {"Ball"}


@pytest.mark.parametrize("change", [{"email": "x@example.com"}, {"price": None}, {"pieces": 5}])
async def test_hidden_and_locked_fields_cannot_be_written(owner, blinkered, unchanged, change):
    toy = await make_toy(owner, price={"amount": "9.99", "currency": "EUR"})
    async with unchanged():
        for answer in (
            await blinkered.patch(f"/v1/toys/{toy['id']}", change, if_match=1),
            await blinkered.post("/v1/toys", {"name": "x"} | change),
        ):
            assert refusal(answer) == (403, "forbidden")
            assert answer.json()["errors"][0]["code"] == "readonly_field"


async def test_a_locked_field_is_seen(owner, blinkered):
    toy = await make_toy(owner, pieces=7)
    assert (await blinkered.ok("GET", f"/v1/toys/{toy['id']}"))["pieces"] == 7


# -- the SQL -------------------------------------------------------------------------------------------------


def actor(scope: Scope, **more: Any) -> Actor:
    return Actor(
        tenant=TenantProfile(id=uuid4()),
        kind="member",
        id=uuid4(),
        name="A",
        grants={"toy:read": scope},
        **more,
    )


def test_the_widest_scope_adds_no_condition_at_all():
    assert visible_rows(actor(Scope.ALL), "toy", "read", Bindings()) is None


def test_no_scope_is_a_refusal_and_not_an_empty_list():
    with pytest.raises(Forbidden):
        visible_rows(actor(Scope.NONE), "toy", "read", Bindings())


def test_somebody_in_no_team_reaches_no_rows_without_a_team():
    bind = Bindings()
    sql = visible_rows(actor(Scope.TEAM, member_id=uuid4()), "toy", "read", bind)
    assert sql is not None
    assert "t.team_id" not in sql


async def test_a_hidden_field_is_in_no_event_and_no_audit_entry(owner, hire):
    rules = {"toy": {"hidden": ["email", "price"]}}
    reader = await hire(grants("all") | {"event:read": "all", "audit:read": "all"}, field_rules=rules)
    toy = await make_toy(owner, email="veiled@example.com", price={"amount": "9.99", "currency": "EUR"})
    await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json={"email": "veiled2@example.com"}, if_match=1)
    for path in (f"/v1/events?record_id={toy['id']}", f"/v1/audit?record_id={toy['id']}"):
        entries = await shown(reader, path, 2)
        assert "veiled" not in str(entries), path
        assert "9.99" not in str(entries), path
        assert "'email'" not in str(entries), path


async def test_somebody_who_may_not_see_all_records_sees_none_of_their_events(owner, hire):
    reader = await hire(grants("team_and_below") | {"event:read": "all"})
    toy = await make_toy(owner)
    assert len(await shown(owner, f"/v1/events?record_id={toy['id']}", 1)) == 1
    assert (await reader.ok("GET", f"/v1/events?record_id={toy['id']}"))["data"] == []


async def shown(client: Any, path: str, count: int) -> list[Any]:
    """Entries of a feed, which shows an event once no transaction that began before it is open any more."""
    found: list[Any] = []

    async def complete() -> bool:
        found[:] = (await client.ok("GET", path))["data"]
        return len(found) == count

    await until(complete)
    return found
