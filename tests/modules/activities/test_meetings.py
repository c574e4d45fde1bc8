"""Meetings with attendees: who is invited, what they are sent, and what they answer."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from app.kernel.logging import _SECRET_VALUES
from tests.modules.activities.planned import END, START, event_of, ics_of, link, meeting, meeting_mails
from tests.modules.support import make
from tests.support.api import sign_up
from tests.tenants.people import stranger_from, unique_email

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def attendees(client, activity):
    return (await client.ok("GET", f"/v1/activities/{activity['id']}/attendees"))["data"]


async def test_members_contacts_leads_and_outside_addresses_are_invited_with_a_calendar_part(
    owner, company, look, hire
):
    mate = await hire("salesperson")
    addresses = {name: unique_email(name) for name in ("ada", "lea", "zoe")}
    contact = await make(owner, "contacts", name="Ada Lovelace", email=addresses["ada"])
    lead = await make(owner, "leads", name="Lea Lead", email=addresses["lea"])
    made = await meeting(
        owner,
        place="Room 5",
        body="They pay late.",
        attendees=[
            {"member_id": mate.facts["member_id"]},
            {"object": "contact", "record_id": contact["id"]},
            {"object": "lead", "record_id": lead["id"]},
            {"email": addresses["zoe"], "name": "Zoe"},
            {"email": addresses["zoe"].upper(), "name": "Zoe again"},
        ],
    )
    assert (made["status"], made["attendee_count"], made["sequence"], made["due_at"]) == ("open", 4, 0, START)
    listed = await attendees(owner, made)
    assert [(one["name"], one["response"]) for one in listed] == [
        ("Casey Salesperson", "needs_action"),
        ("Ada Lovelace", "needs_action"),
        ("Lea Lead", "needs_action"),
        ("Zoe", "needs_action"),
    ]
    for email in addresses.values():
        (mail,) = await meeting_mails(look, email)
        assert mail["subject"] == "Invitation: Demo"
        assert "Olivia Owner invites you to:" in mail["text"]
        assert "2031-03-03 09:00–10:00 (UTC)\nRoom 5" in mail["text"]
        assert "They pay late." not in str(mail)  # a body is ours
        calendar = ics_of(mail)
        assert (calendar["method"], calendar["version"]) == ("REQUEST", "2.0")
        event = event_of(calendar)
        assert (str(event["summary"]), int(event["sequence"]), str(event["status"])) == (
            "Demo",
            0,
            "CONFIRMED",
        )
        assert event["dtstart"].dt == datetime(2031, 3, 3, 9, tzinfo=UTC)
        assert event["dtend"].dt == datetime(2031, 3, 3, 10, tzinfo=UTC)
        assert str(event["uid"]).startswith(made["id"])
        assert str(event["organizer"]) == f"mailto:{company.email}"
        assert len(event["attendee"]) == 4
        assert {one.params["partstat"] for one in event["attendee"]} == {"NEEDS-ACTION"}
    (mail,) = await meeting_mails(look, mate.facts["email"])
    assert "/public/rsvp/" not in mail["text"]  # members answer here
    assert event_of(ics_of(mail))["uid"] == event["uid"]


@pytest.mark.parametrize(
    ("attendee", "pointer", "code"),
    [
        ({"member_id": str(uuid4())}, "/attendees", "unknown_member"),
        ({"object": "contact", "record_id": str(uuid4())}, "/attendees/0/record_id", "unknown_reference"),
        ({"object": "account", "record_id": str(uuid4())}, "/attendees/0/record_id", "unknown_reference"),
        ({"object": "contact", "email": "a@example.com"}, "/attendees/0", "one_of"),
        ({}, "/attendees/0", "one_of"),
        ({"email": "not an address"}, "/attendees/0/email", "invalid_email"),
    ],
)
async def test_nobody_unknown_is_invited(owner, unchanged, attendee, pointer, code):
    async with unchanged():
        answer = await owner.post(
            "/v1/activities",
            {"kind": "meeting", "subject": "Demo", "starts_at": START, "attendees": [attendee]},
        )
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error["code"]) == (pointer, code)


async def test_a_foreign_contact_is_not_invited(owner, rival, unchanged):
    foreign = await make(rival.owner, "contacts", name="Foreign", email=unique_email())
    async with unchanged():
        answer = await owner.post(
            "/v1/activities",
            {
                "kind": "meeting",
                "subject": "Demo",
                "starts_at": START,
                "attendees": [{"object": "contact", "record_id": foreign["id"]}],
            },
        )
    assert answer.status_code == 422


async def test_nobody_is_invited_to_a_task(owner, unchanged):
    async with unchanged():
        answer = await owner.post(
            "/v1/activities", {"kind": "task", "subject": "x", "attendees": [{"email": "a@example.com"}]}
        )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_timed")


async def test_an_invited_member_reads_the_meeting_and_answers_it(owner, hire, unchanged):
    mate, other = await hire("salesperson", team_ids=[]), await hire("salesperson", team_ids=[])
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}])
    path = f"/v1/activities/{made['id']}"
    assert (await other.get(path)).status_code == 404
    assert (await mate.ok("GET", path))["subject"] == "Demo"
    async with unchanged():
        assert (await other.post(f"{path}/rsvp", {"response": "accepted"})).status_code == 404
        assert (
            await owner.post(f"{path}/rsvp", {"response": "accepted"})
        ).status_code == 404  # not on the list
        assert (await mate.post(f"{path}/rsvp", {"response": "needs_action"})).status_code == 422
    answered = await mate.ok("POST", f"{path}/rsvp", json={"response": "tentative", "comment": "Late"})
    assert (answered["response"], answered["comment"]) == ("tentative", "Late")
    (told,) = (await owner.ok("GET", "/v1/notifications?kind=activity.answered"))["data"]
    assert told["title"] == "Casey Salesperson may come: Demo"
    assert (told["object"], told["record_id"], told["body"]) == ("activity", made["id"], "Late")
    again = await mate.ok("POST", f"{path}/rsvp", json={"response": "accepted"})
    assert again["response"] == "accepted"
    assert len((await owner.ok("GET", "/v1/notifications?kind=activity.answered"))["data"]) == 2


async def test_many_equal_answers_at_once_count_once(owner, company, look, hire):
    mate = await hire("salesperson")
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}])
    answers = await asyncio.gather(
        *(mate.post(f"/v1/activities/{made['id']}/rsvp", {"response": "accepted"}) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await look.audit(company.tenant_id, "responded")) == 1
    assert len((await owner.ok("GET", "/v1/notifications?kind=activity.answered"))["data"]) == 1


async def test_the_organiser_on_the_list_has_accepted(owner, company, look):
    made = await meeting(owner, attendees=[{"member_id": str(company.member_id)}])
    assert [one["response"] for one in await attendees(owner, made)] == ["accepted"]
    assert await meeting_mails(look, company.email) == []


async def test_a_change_of_time_asks_everybody_again_with_the_next_sequence(owner, hire, look):
    mate, zoe = await hire("salesperson"), unique_email("zoe")
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}, {"email": zoe}])
    path = f"/v1/activities/{made['id']}"
    await mate.ok("POST", f"{path}/rsvp", json={"response": "accepted"})
    first = await link(look, zoe)
    moved = await owner.ok("PATCH", path, json={"starts_at": "2031-03-04T09:00:00Z"}, if_match=1)
    assert (moved["ends_at"], moved["due_at"]) == ("2031-03-04T10:00:00Z", "2031-03-04T09:00:00Z")
    assert (moved["sequence"], moved["version"]) == (1, 2)
    assert [one["response"] for one in await attendees(owner, made)] == ["needs_action", "needs_action"]
    _, mail = await meeting_mails(look, zoe)
    event = event_of(ics_of(mail))
    assert (mail["subject"], int(event["sequence"])) == ("Changed: Demo", 1)
    assert event["dtstart"].dt == datetime(2031, 3, 4, 9, tzinfo=UTC)
    assert await link(look, zoe) != first
    assert (
        await stranger_from(owner.http._transport.app).get(first)
    ).status_code == 404  # the old one is over


async def test_a_change_of_words_keeps_the_answers(owner, hire, look):
    mate = await hire("salesperson")
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}])
    path = f"/v1/activities/{made['id']}"
    await mate.ok("POST", f"{path}/rsvp", json={"response": "accepted"})
    renamed = await owner.ok("PATCH", path, json={"subject": "Big demo"}, if_match=1)
    assert renamed["sequence"] == 1
    assert [one["response"] for one in await attendees(owner, made)] == ["accepted"]
    noted = await owner.ok("PATCH", path, json={"body": "Bring tea."}, if_match=2)
    assert noted["sequence"] == 1  # nobody has to know
    assert len(await meeting_mails(look, mate.facts["email"])) == 2


async def test_who_is_left_out_is_uninvited_and_reads_no_more(owner, hire, look):
    mate, zoe, tom = await hire("salesperson", team_ids=[]), unique_email("zoe"), unique_email("tom")
    made = await meeting(owner, attendees=[{"member_id": mate.facts["member_id"]}, {"email": zoe}])
    path = f"/v1/activities/{made['id']}"
    body = {"attendees": [{"email": zoe}, {"email": tom, "name": "Tom"}]}
    assert (await owner.put(f"{path}/attendees", body)).status_code == 428
    assert (await owner.put(f"{path}/attendees", body, if_match=7)).status_code == 412
    left = await owner.ok("PUT", f"{path}/attendees", json=body, if_match=1)
    assert [one["name"] for one in left["data"]] == [zoe, "Tom"]
    assert (await mate.get(path)).status_code == 404
    cancelled = (await meeting_mails(look, mate.facts["email"]))[-1]
    assert (cancelled["subject"], ics_of(cancelled)["method"]) == ("Cancelled: Demo", "CANCEL")
    assert len(await meeting_mails(look, zoe)) == 1
    assert len(await meeting_mails(look, tom)) == 1
    stored = await owner.ok("GET", path)
    assert (stored["attendee_count"], stored["sequence"], stored["version"]) == (2, 1, 2)
    same = await owner.ok("PUT", f"{path}/attendees", json=body, if_match=2)
    assert same == left


@pytest.mark.parametrize("how", ["patch", "delete"])
async def test_a_cancelled_meeting_is_taken_out_of_calendars(owner, look, how):
    zoe = unique_email("zoe")
    made = await meeting(owner, attendees=[{"email": zoe}])
    path = f"/v1/activities/{made['id']}"
    address = await link(look, zoe)
    if how == "patch":
        await owner.ok("PATCH", path, json={"status": "cancelled"}, if_match=1)
    else:
        assert (await owner.delete(path, if_match=1)).status_code == 204
    mail = (await meeting_mails(look, zoe))[-1]
    calendar = ics_of(mail)
    assert (mail["subject"], calendar["method"]) == ("Cancelled: Demo", "CANCEL")
    assert str(event_of(calendar)["status"]) == "CANCELLED"
    answer = await stranger_from(owner.http._transport.app).request(
        "POST", address, content=b"response=accepted", headers=FORM
    )
    assert answer.status_code == (409 if how == "patch" else 404)


async def test_nobody_is_mailed_about_what_is_over(owner, look):
    zoe = unique_email("zoe")
    made = await meeting(
        owner, starts_at="2020-01-01T09:00:00Z", ends_at="2020-01-01T10:00:00Z", attendees=[{"email": zoe}]
    )
    assert (made["status"], made["happened_at"]) == ("done", "2020-01-01T09:00:00Z")
    assert await meeting_mails(look, zoe) == []


# -- the page ------------------------------------------------------------------------------------------------------


async def test_somebody_outside_answers_once_by_the_mailed_page(app, owner, company, look):
    zoe = unique_email("zoe")
    made = await meeting(owner, subject="Demo & <more>", attendees=[{"email": zoe, "name": "Zoe"}])
    guest, path = stranger_from(app), await link(look, zoe)
    page = await guest.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "<h1>Demo &amp; &lt;more&gt;</h1>" in page.text
    assert page.text.count("<button") == 3
    assert 'name="viewport"' in page.text
    assert [one["response"] for one in await attendees(owner, made)] == [
        "needs_action"
    ]  # looking changes nothing
    said = await guest.request("POST", path, content=b"response=declined&comment=On+holiday", headers=FORM)
    assert (said.status_code, "<button" in said.text) == (200, False)
    assert "Your answer: No, I cannot come" in said.text
    (one,) = await attendees(owner, made)
    assert (one["response"], one["comment"]) == ("declined", "On holiday")
    again = await guest.request("POST", path, content=b"response=accepted", headers=FORM)
    assert again.status_code == 409
    assert "Your answer: No, I cannot come" in again.text
    assert [one["response"] for one in await attendees(owner, made)] == ["declined"]
    (told,) = (await owner.ok("GET", "/v1/notifications?kind=activity.answered"))["data"]
    assert told["title"] == "Zoe declines: Demo & <more>"


async def test_of_many_answers_at_once_by_one_link_just_one_counts(app, owner, company, look):
    zoe = unique_email("zoe")
    await meeting(owner, attendees=[{"email": zoe}])
    guest, path = stranger_from(app), await link(look, zoe)
    answers = await asyncio.gather(
        *(
            guest.request("POST", path, content=f"response={said}".encode(), headers=FORM)
            for said in ("accepted", "declined", "tentative", "accepted") * 30
        )
    )
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    assert [answer.status_code for answer in answers].count(200) == 1
    assert len(await look.audit(company.tenant_id, "responded")) == 1


@pytest.mark.parametrize("content", [b"", b"response=perhaps", b"\xff\xfe", b"response=accepted&extra=1"])
async def test_a_form_that_is_no_answer_changes_nothing(app, owner, look, unchanged, content):
    zoe = unique_email("zoe")
    await meeting(owner, attendees=[{"email": zoe}])
    guest, path = stranger_from(app), await link(look, zoe)
    async with unchanged():
        answer = await guest.request("POST", path, content=content, headers=FORM)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")


async def test_a_link_that_was_tampered_with_does_not_work(app, owner, rival, look, unchanged):
    zoe = unique_email("zoe")
    await meeting(owner, attendees=[{"email": zoe}])
    guest, path = stranger_from(app), await link(look, zoe)
    token = path.rpartition("/")[2]
    feed = (await owner.ok("POST", "/v1/me/calendar-feed"))["url"].rpartition("/")[2].removesuffix(".ics")
    async with unchanged():
        for wrong in (token[:-2] + "AA", token[3:], "rl_" + "A" * 60, "x", feed):
            assert (await guest.get(f"/public/rsvp/{wrong}")).status_code == 404
            answer = await guest.request(
                "POST", f"/public/rsvp/{wrong}", content=b"response=accepted", headers=FORM
            )
            assert answer.status_code == 404


async def test_the_link_is_stored_as_a_hash_only_and_kept_out_of_logs(app, owner, company, look):
    zoe = unique_email("zoe")
    made = await meeting(owner, attendees=[{"email": zoe}])
    token = (await link(look, zoe)).rpartition("/")[2]
    stored = await look.value(
        "SELECT token_hash FROM activities.attendees WHERE activity_id = $1", UUID(made["id"])
    )
    assert len(stored) == 32
    for table in ("kernel.audit_entries", "kernel.outbox"):
        found = await look.value(
            f"SELECT count(*) FROM {table} t WHERE tenant_id = $1 AND t::text LIKE '%' || $2 || '%'",
            company.tenant_id,
            token,
        )
        assert found == 0
    assert token not in _SECRET_VALUES.sub("…", f"/public/rsvp/{token}")


async def test_a_suspended_company_takes_no_answer(app, owner, company, look):
    zoe = unique_email("zoe")
    await meeting(owner, attendees=[{"email": zoe}])
    guest, path = stranger_from(app), await link(look, zoe)
    await look.run("UPDATE tenants.tenants SET status = 'suspended' WHERE tenant_id = $1", company.tenant_id)
    app.kernel.authenticator.forget(company.tenant_id)
    answer = await guest.request("POST", path, content=b"response=accepted", headers=FORM)
    assert answer.status_code == 404
    assert await look.audit(company.tenant_id, "responded") == []
    assert (await guest.get(path)).status_code == 200
    await look.run("UPDATE tenants.tenants SET status = 'cancelled' WHERE tenant_id = $1", company.tenant_id)
    assert (await guest.get(path)).status_code == 404


async def test_a_chinese_company_invites_in_chinese(app, look):
    company = await sign_up(app, locale="zh-CN", time_zone="Asia/Shanghai", country="CN", currency="CNY")
    zoe = unique_email("zoe")
    await meeting(company.owner, subject="产品演示", attendees=[{"email": zoe, "name": "周"}])
    (mail,) = await meeting_mails(look, zoe)
    assert (mail["subject"], mail["to"]) == ("邀请：产品演示", f'"周" <{zoe}>')
    assert "2031-03-03 17:00–18:00 (Asia/Shanghai)" in mail["text"]
    page = await stranger_from(app).get(await link(look, zoe))
    assert "参加" in page.text


async def test_times_follow_from_one_another(owner):
    call = await make(owner, "activities", kind="call", subject="Ring", starts_at=START)
    assert (call["ends_at"], call["due_at"], call["status"]) == ("2031-03-03T09:30:00Z", START, "open")
    visit = await make(owner, "activities", kind="visit", subject="Plant", starts_at=START)
    assert visit["ends_at"] == END


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "task", "subject": "x", "starts_at": START}, "not_timed"),
        ({"kind": "meeting", "subject": "x", "ends_at": END}, "no_start"),
        ({"kind": "meeting", "subject": "x", "starts_at": END, "ends_at": START}, "out_of_range"),
        (
            {"kind": "meeting", "subject": "x", "starts_at": START, "ends_at": "2031-05-01T00:00:00Z"},
            "out_of_range",
        ),
        ({"kind": "meeting", "subject": "x", "remind_minutes": 5}, "no_start"),
        ({"kind": "visit", "subject": "x", "starts_at": START, "latitude": 1.5}, "incomplete"),
        (
            {"kind": "visit", "subject": "x", "starts_at": START, "latitude": 91, "longitude": 0},
            "less_than_equal",
        ),
        (
            {"kind": "meeting", "subject": "x", "starts_at": START, "time_zone": "Mars/Base"},
            "unknown_time_zone",
        ),
    ],
)
async def test_times_and_places_that_cannot_be_are_refused(owner, unchanged, fields, code):
    async with unchanged():
        answer = await owner.post("/v1/activities", fields)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
