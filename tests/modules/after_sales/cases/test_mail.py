"""Mails about cases: what is said goes out, answers come in as comments, and anything else is a case of its own."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import httpx
import pytest

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock, SystemClock
from app.kernel.jobs import JobContext
from app.kernel.mail import MAIL_SEND, Message, compose
from app.kernel.uploads import store_content
from app.modules.after_sales.services.mail.taking import MOST_PER_HOUR, said
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.desk.desk import queue_of, relayed
from tests.modules.after_sales.sla.sla import policy_of
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting, actor_of, count, make
from tests.support.api import Client, Company

__all__ = ["clock"]

Json = dict[str, Any]
LI = "li@sail.example.com"


def mail(text: str = "It still leaks.", **headers: str) -> bytes:
    fields = {
        "From": f"Li Hua <{LI}>",
        "To": "help@pumps.example.com",
        "Subject": "A leak",
        "Message-ID": "<1@sail.example.com>",
        "Content-Type": "text/plain; charset=utf-8",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{head}\r\n{text}\r\n".encode()


async def take(owner: Client, raw: bytes) -> Json:
    answer = await sent(owner, raw)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def sent(owner: Client, raw: bytes) -> httpx.Response:
    return await owner.request(
        "POST", "/v1/cases/from-email", content=raw, headers={"Content-Type": "message/rfc822"}
    )


async def mailed(company: Company) -> list[Json]:
    """What went out, in order."""
    await relayed(company)
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT payload FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send' AND payload ? 'message_id'"
            " ORDER BY created_at, id",
            uow.tenant_id,
        )
    return [row["payload"] for row in rows]


async def say(owner: Client, case: Json, body: str, *, public: bool = True) -> None:
    await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json={"body": body, "public": public})


async def comments(owner: Client, case: Json) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/cases/{case['id']}/comments"))["data"]
    return found


@pytest.fixture
async def li(company: Company, account: Json) -> Json:
    return await make(company.owner, "contacts", account_id=account["id"], name="Li Hua", email=LI)


async def test_what_is_said_in_public_is_mailed_and_the_answer_comes_back(company: Company, li: Json) -> None:
    owner = company.owner
    await policy_of(owner, first_response_minutes=60, next_response_minutes=30)
    case = await case_of(owner, contact_id=li["id"])
    await say(owner, case, "We are looking at it", public=False)
    await say(owner, case, "Which pump is it?")
    [out] = await mailed(company)
    assert out["to"] == LI
    assert out["subject"] == f"[{case['number']}] The pump leaks"
    assert "Which pump is it?" in out["text"]
    assert (out["automatic"], out["answers"]) == (False, [])
    local, domain = out["reply_to"].split("@")
    assert (local.partition("+")[0], domain, len(local)) == ("replies", "rapport.example", 53)
    # The address alone finds the case, in whatever case it comes back.
    told = await take(owner, mail(To=out["reply_to"].upper(), Subject="Re: something else"))
    assert (told["status"], told["case_id"]) == ("commented", case["id"])
    last = (await comments(owner, case))[-1]
    assert (last["author"], last["body"], last["contact_id"], last["email"]) == (
        "customer",
        "It still leaks.",
        li["id"],
        LI,
    )
    clocks = {one["target"]: one["state"] for one in (await again(owner, case))["clocks"]}
    assert clocks == {"first_response": "met", "next_response": "running"}
    await say(owner, case, "A technician comes tomorrow")
    second = (await mailed(company))[-1]
    assert second["subject"] == f"Re: [{case['number']}] The pump leaks"
    assert second["answers"] == [out["message_id"], "<1@sail.example.com>"]
    mime = compose(
        Message.model_validate(second), sender="Help <help@pumps.example.com>", clock=SystemClock()
    )
    assert mime["Auto-Submitted"] is None
    assert mime["In-Reply-To"] == "<1@sail.example.com>"


async def test_mails_that_are_answered_and_the_number_in_the_subject_find_the_case(
    company: Company, li: Json
) -> None:
    owner = company.owner
    case = await case_of(owner, contact_id=li["id"])
    await say(owner, case, "Which pump is it?")
    [out] = await mailed(company)
    threads = {"In_Reply_To": "<nobody@x.example>", "References": f"<a@b.example> {out['message_id']}"}
    by_thread = await take(owner, mail(From="boss@sail.example.com", Message_ID="<2@x>", **threads))
    assert by_thread["case_id"] == case["id"]
    stranger = (await comments(owner, case))[-1]
    assert (stranger["contact_id"], stranger["email"]) == (None, "boss@sail.example.com")
    subject = f"AW: [{case['number']}] Leck"
    assert (await take(owner, mail(Subject=subject, Message_ID="<3@x>")))["case_id"] == case["id"]
    other = await take(owner, mail(Subject=subject, From="eve@evil.example.com", Message_ID="<4@x>"))
    assert (other["status"], other["case_id"] == case["id"]) == ("opened", False)


async def test_a_mail_opens_a_case_that_is_answered_to_its_sender(company: Company, li: Json) -> None:
    owner = company.owner
    queue = await queue_of(owner, owner)
    settings = {"reopen_days": 14, "close_after_days": None, "mail_queue_id": queue["id"]}
    await owner.ok("PUT", "/v1/case-settings", json=settings, if_match=0)
    known = await again(owner, {"id": (await take(owner, mail()))["case_id"]})
    assert {
        name: known[name] for name in ("subject", "description", "channel", "contact_id", "account_id")
    } == {
        "subject": "A leak",
        "description": "It still leaks.",
        "channel": "email",
        "contact_id": li["id"],
        "account_id": li["account_id"],
    }
    assert (known["queue_id"], known["owner_id"], known["status"]) == (queue["id"], None, "new")
    raw = mail(From="Ann <ann@lee.example.com>", Message_ID="<2@x>")
    unknown = await again(owner, {"id": (await take(owner, raw))["case_id"]})
    assert (unknown["contact_id"], unknown["email"]) == (None, "ann@lee.example.com")
    await say(owner, unknown, "Hello Ann")
    out = (await mailed(company))[-1]
    assert (out["to"], out["answers"]) == ("ann@lee.example.com", ["<2@x>"])
    settings |= {"mail_comments": False}
    await owner.ok("PUT", "/v1/case-settings", json=settings, if_match=1)
    await say(owner, unknown, "Still there?")
    assert len(await mailed(company)) == 1


async def test_the_same_mail_fifty_times_at_once_counts_once(company: Company, li: Json) -> None:
    owner = company.owner
    answers = await asyncio.gather(*(take(owner, mail()) for _ in range(50)))
    assert sorted(answer["repeated"] for answer in answers) == [False] + [True] * 49
    assert len({answer["case_id"] for answer in answers}) == 1
    assert await count(company, "after_sales.cases") == 1


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Auto-Submitted": "auto-replied"}, "auto_submitted"),
        ({"Precedence": "bulk"}, "bulk"),
        ({"Return-Path": "<>"}, "bounce"),
        ({"From": "Rapport <no-reply@rapport.example>"}, "no_reply"),
        ({"From": "replies+abc@rapport.example"}, "own_mail"),
    ],
)
async def test_mail_of_machines_and_our_own_is_left_alone(
    company: Company, headers: dict[str, str], reason: str
) -> None:
    told = await take(company.owner, mail(**headers))
    assert told == {
        "status": "ignored",
        "reason": reason,
        "repeated": False,
        "case_id": None,
        "comment_id": None,
        "attachments": 0,
        "left_out": [],
    }
    assert await count(company, "after_sales.cases") == 0


async def test_nothing_is_mailed_to_ourselves(company: Company) -> None:
    case = await case_of(company.owner, email="replies@rapport.example")
    await say(company.owner, case, "Hello?")
    assert await mailed(company) == []


async def test_whoever_sends_more_than_a_person_writes_is_not_listened_to(company: Company) -> None:
    owner = company.owner
    first = await take(owner, mail())
    async with acting(company) as uow:
        await uow.fetch(
            "INSERT INTO after_sales.case_mails (tenant_id, id, case_id, direction, message_hash, address, at)"
            " SELECT $1, gen_random_uuid(), $2, 'in', sha256(n::text::bytea), $3, $4 FROM generate_series(2, $5::int) n",
            uow.tenant_id,
            first["case_id"],
            LI,
            uow.now,
            MOST_PER_HOUR,
        )
    told = await take(owner, mail(Message_ID="<2@x>"))
    assert (told["status"], told["reason"]) == ("ignored", "too_many")
    assert (await take(owner, mail(From="ann@lee.example.com", Message_ID="<3@x>")))["status"] == "opened"


async def test_many_mails_of_one_sender_at_once_are_no_more_than_one_after_the_other(
    company: Company,
) -> None:
    owner = company.owner
    over = 15
    answers = await asyncio.gather(
        *[take(owner, mail(Message_ID=f"<{n}@flood.example.com>")) for n in range(MOST_PER_HOUR + over)]
    )
    assert [answer["status"] for answer in answers].count("opened") == MOST_PER_HOUR
    assert {answer["reason"] for answer in answers if answer["status"] == "ignored"} == {"too_many"}
    assert await count(company, "after_sales.cases") == MOST_PER_HOUR


async def test_an_answer_opens_a_solved_case_again_within_its_window_and_a_new_one_after(
    company: Company, li: Json, clock: FixedClock
) -> None:
    owner = company.owner
    case = await case_of(owner, contact_id=li["id"])
    await say(owner, case, "It is repaired")
    [out] = await mailed(company)
    await stepped(owner, case, "resolve")
    answer = {"To": out["reply_to"]}
    assert (await take(owner, mail(**answer)))["case_id"] == case["id"]
    assert (await again(owner, case))["status"] == "open"
    await stepped(owner, case, "resolve")
    clock.set(clock.now() + timedelta(days=14, seconds=1))
    late = await take(owner, mail(Message_ID="<2@x>", **answer))
    assert (late["status"], late["case_id"] == case["id"]) == ("opened", False)
    assert (await again(owner, case))["status"] == "resolved"


async def test_an_answer_to_a_solved_case_of_which_there_is_an_open_one_again_is_said_there(
    company: Company, li: Json
) -> None:
    owner = company.owner
    solved = await case_of(owner, contact_id=li["id"], dedupe="pump 7")
    await say(owner, solved, "Done")
    [out] = await mailed(company)
    await stepped(owner, solved, "resolve")
    now = await case_of(owner, contact_id=li["id"], dedupe="pump 7")
    assert now["id"] != solved["id"]
    answer = await take(owner, mail("Still leaks", In_Reply_To=out["message_id"]))
    assert (answer["status"], answer["case_id"]) == ("commented", now["id"])
    assert (await again(owner, solved))["status"] == "resolved"


async def test_answers_to_a_merged_case_find_the_one_that_survives(company: Company, li: Json) -> None:
    owner = company.owner
    kept, gone = [await case_of(owner, contact_id=li["id"]) for _ in range(2)]
    await say(owner, gone, "Which pump is it?")
    [out] = await mailed(company)
    kept, gone = await again(owner, kept), await again(owner, gone)
    both = [{"id": one["id"], "version": one["version"]} for one in (kept, gone)]
    await owner.ok("POST", "/v1/cases/merge", json={"records": both, "master_id": kept["id"]})
    assert (await take(owner, mail(To=out["reply_to"])))["case_id"] == kept["id"]
    references = {"References": out["message_id"], "Message_ID": "<2@x>"}
    assert (await take(owner, mail(**references)))["case_id"] == kept["id"]


async def test_answers_to_what_was_split_off_find_the_new_case(company: Company, li: Json) -> None:
    owner = company.owner
    case = await case_of(owner, contact_id=li["id"])
    await say(owner, case, "Which pump is it?")
    await say(owner, case, "The invoice is another matter.")
    about_pump, about_invoice = await mailed(company)
    moved = (await comments(owner, case))[1]
    body = {"subject": "The invoice is wrong", "comment_ids": [moved["id"]]}
    part = await stepped(owner, case, "split", body)
    await say(owner, part, "We look into the invoice.")
    own = (await mailed(company))[-1]
    assert (own["subject"], own["answers"]) == (
        f"Re: [{part['number']}] The invoice is wrong",
        [about_invoice["message_id"]],
    )
    assert own["reply_to"] != about_invoice["reply_to"] == about_pump["reply_to"]
    answers = {
        "<a@x>": (own["reply_to"], None, part),  # the address is the new case's own
        "<b@x>": (
            about_invoice["reply_to"],
            about_invoice,
            part,
        ),  # the address is the old one's, the mail went along
        "<c@x>": (about_pump["reply_to"], about_pump, case),
        "<d@x>": (about_pump["reply_to"], None, case),
    }
    for message_id, (to, answered, expected) in answers.items():
        about = {"In_Reply_To": answered["message_id"]} if answered else {}
        told = await take(owner, mail(To=to, Message_ID=message_id, **about))
        assert (message_id, told["case_id"]) == (message_id, expected["id"])


# -- files ---------------------------------------------------------------------------------------------------


def with_files(*parts: str, text: str = "See the picture.", **headers: str) -> bytes:
    """A mail of several parts."""
    body = [f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}", *parts]
    joined = "".join(f"--B\r\n{part}\r\n" for part in body)
    return mail(joined + "--B--", Content_Type="multipart/mixed; boundary=B", **headers)


def part_of(name: str, content: bytes, kind: str = "image/png") -> str:
    head = f"Content-Type: {kind}\r\nContent-Disposition: attachment; {name}\r\n"
    return f"{head}Content-Transfer-Encoding: base64\r\n\r\n{b64encode(content).decode()}"


async def files_of(owner: Client, case_id: str) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/cases/{case_id}/attachments"))["data"]
    return found


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def test_files_that_come_by_mail_are_files_of_the_case(company: Company, li: Json) -> None:
    owner = company.owner
    raw = with_files(
        part_of('filename="..\\..\\etc/leak.png"', PNG),
        part_of("filename*=utf-8''%E6%B3%B5.txt", b"hello", "text/plain"),
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64encode(PNG).decode(),
    )
    opened = await take(owner, raw)
    assert (opened["attachments"], opened["left_out"]) == (3, [])
    files = await files_of(owner, opened["case_id"])
    assert [(one["name"], one["media_type"], one["public"], one["comment_id"]) for one in files] == [
        ("leak.png", "image/png", True, None),
        ("泵.txt", "text/plain", True, None),
        ("attachment-3.png", "image/png", True, None),
    ]
    got = await owner.get(f"/v1/cases/{opened['case_id']}/attachments/{files[0]['id']}/content")
    assert (got.content, got.headers["content-type"]) == (PNG, "application/octet-stream")
    assert await take(owner, raw) == opened | {"repeated": True, "attachments": 0}
    case = await again(owner, {"id": opened["case_id"]})
    assert case["description"] == "See the picture."
    answer = await take(
        owner,
        with_files(part_of("filename=b.png", PNG), Message_ID="<2@x>", Subject=f"Re: [{case['number']}]"),
    )
    assert (await files_of(owner, case["id"]))[-1]["comment_id"] == answer["comment_id"]
    assert await stored_files(company) == 4


async def stored_files(company: Company) -> int:
    """Files of the company in the store."""
    kernel = company.app.kernel
    assert kernel is not None
    return len([found async for found in kernel.files.of_tenant(company.tenant_id)])


async def test_more_files_than_there_is_room_for_are_left_out(company: Company, li: Json) -> None:
    owner = company.owner
    opened = await take(owner, with_files(*(part_of(f"filename={n}.png", PNG) for n in range(12))))
    assert (opened["attachments"], opened["left_out"]) == (10, ["too_many", "too_many"])
    for n in range(2, 11):
        raw = with_files(*(part_of("filename=x.png", PNG) for _ in range(10)), Message_ID=f"<{n}@x>")
        case = await again(owner, {"id": opened["case_id"]})
        raw = raw.replace(b"Subject: A leak", f"Subject: Re: [{case['number']}]".encode())
        assert (await take(owner, raw))["attachments"] == 10
    raw = raw.replace(b"<10@x>", b"<11@x>")
    last = await take(owner, raw)
    assert (last["status"], last["attachments"], last["left_out"]) == ("commented", 0, ["too_many"] * 10)
    assert (len(await files_of(owner, opened["case_id"])), await stored_files(company)) == (100, 100)


async def test_a_mail_that_is_ignored_or_too_large_leaves_no_file(company: Company, li: Json) -> None:
    owner = company.owner
    assert (await take(owner, with_files(part_of("filename=a.png", PNG), Precedence="bulk")))[
        "status"
    ] == "ignored"
    large = await sent(owner, with_files(part_of("filename=a.bin", bytes(16 << 20))))
    assert (large.status_code, large.json()["limit"]) == (413, 20 << 20)
    assert (await stored_files(company), await count(company, "after_sales.cases")) == (0, 0)


async def test_a_store_that_fails_in_between_keeps_nothing(
    company: Company, li: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(kernel: Any, tenant_id: Any, name: str, content: bytes) -> Any:
        if name == "c.png":
            raise OSError("no space left")
        return await store_content(kernel, tenant_id, name, content)

    monkeypatch.setattr("app.modules.after_sales.router.mail.store_content", full)
    raw = with_files(*(part_of(f"filename={name}.png", PNG) for name in "abc"))
    assert (await sent(company.owner, raw)).status_code == 503
    assert (await stored_files(company), await count(company, "after_sales.cases")) == (0, 0)


async def test_of_fifty_deliveries_at_once_the_file_is_kept_once(company: Company, li: Json) -> None:
    raw = with_files(part_of("filename=a.png", PNG))
    answers = await asyncio.gather(*(take(company.owner, raw) for _ in range(50)))
    assert sum(answer["attachments"] for answer in answers) == 1
    assert await stored_files(company) == 1


async def test_files_go_to_the_customer_with_what_is_said(company: Company, li: Json) -> None:
    owner = company.owner
    case, other = await case_of(owner, contact_id=li["id"]), await case_of(owner)
    attached = [await attached_to(owner, case, f"{n}.png", PNG) for n in range(2)]
    strange = await attached_to(owner, other, "x.png", PNG)
    path = f"/v1/cases/{case['id']}/comments"
    refused = await owner.post(path, {"body": "Here", "public": True, "attachment_ids": [strange["id"]]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/attachment_ids")
    assert await comments(owner, case) == []
    said = {"body": "The drawing", "public": True, "attachment_ids": [attached[0]["id"]]}
    comment = await owner.ok("POST", path, json=said)
    first, second = await files_of(owner, case["id"])
    assert (first["public"], first["comment_id"], second["public"]) == (True, comment["id"], False)
    [out] = await mailed(company)
    assert [(file["name"], file["media_type"]) for file in out["files"]] == [("0.png", "image/png")]
    kernel = company.app.kernel
    assert kernel is not None
    actor = system_actor((await actor_of(company)).tenant)
    before = set(kernel.mailer.folder.glob("*.eml"))
    context = JobContext(kernel, actor, company.tenant_id, out, 1)
    await MAIL_SEND.run(context, Message.model_validate(out))
    [path_of_mail] = set(kernel.mailer.folder.glob("*.eml")) - before
    message = message_from_bytes(path_of_mail.read_bytes(), policy=policy.default)
    [went] = message.iter_attachments()
    assert (went.get_filename(), went.get_content()) == ("0.png", PNG)


async def attached_to(owner: Client, case: Json, name: str, content: bytes) -> Json:
    file = await owner.request(
        "POST", f"/v1/files?filename={name}", content=content, headers={"Content-Type": "image/png"}
    )
    body = {"file_id": file.json()["id"]}
    made: Json = await owner.ok("POST", f"/v1/cases/{case['id']}/attachments", json=body)
    return made


async def test_what_is_too_large_for_a_mail_is_not_promised(company: Company, li: Json) -> None:
    owner = company.owner
    case = await case_of(owner, contact_id=li["id"])
    attached = await attached_to(owner, case, "large.png", PNG + bytes(10 << 20))
    said = {"body": "Here", "public": True, "attachment_ids": [attached["id"]]}
    refused = await owner.post(f"/v1/cases/{case['id']}/comments", said)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too_large")
    [file] = await files_of(owner, case["id"])
    assert (file["public"], file["comment_id"], await comments(owner, case)) == (False, None, [])


async def test_an_address_of_another_company_finds_nothing(
    company: Company, rival: Company, li: Json
) -> None:
    case = await case_of(company.owner, contact_id=li["id"])
    await say(company.owner, case, "Which pump is it?")
    [out] = await mailed(company)
    told = await take(rival.owner, mail(To=out["reply_to"], In_Reply_To=out["message_id"]))
    assert told["status"] == "opened"
    assert len(await comments(company.owner, case)) == 1


async def test_what_is_no_mail_is_refused(company: Company) -> None:
    for raw, status in ((b"", 422), (mail(From="nobody"), 422), (b"x" * (20 * 1_048_576 + 1), 413)):
        assert (await sent(company.owner, raw)).status_code == status
    answer = await company.owner.request(
        "POST", "/v1/cases/from-email", content=mail(), headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert await count(company, "after_sales.cases") == 0


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("Yes.\n\nOn Monday we wrote:\n> — ✂ — Please answer above this line — ✂ —\n>\n> Which?", "Yes."),
        ("Yes.\n\n> Which pump\n> is it?\n", "Yes."),
        ("Yes.\nAm Montag schrieb Ann:\n> Which?", "Yes."),
        ("> Which?\nThe big one.", "> Which?\nThe big one."),
        ("Parts:\na seal", "Parts:\na seal"),
        ("> all quoted", "> all quoted"),
    ],
)
def test_what_is_quoted_below_is_not_said_again(text: str, new: str) -> None:
    assert said(text) == new


def test_identifiers_are_never_encoded() -> None:
    long = f"<{'A' * 60}@{'b' * 60}.example.com>"
    message = Message(to=LI, subject="A", text="B", message_id="<1@x>", answers=[long, long])
    raw = compose(message, sender="help@pumps.example.com", clock=SystemClock()).as_bytes(policy=policy.SMTP)
    assert f"References: {long}\r\n {long}\r\n".encode() in raw
    assert message_from_bytes(raw)["In-Reply-To"] == long
