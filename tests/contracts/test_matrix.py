"""Every operation × everybody who must not get through: never another company's rows or their existence, never a
5xx, and nothing written. The operations and their requests come from the OpenAPI document.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from app.kernel.routing import OPERATOR
from tests.contracts.samples import Operation, places_of_ids, with_id
from tests.contracts.world import Request, World, tenant_ids
from tests.support.api import Client, sign_in, stranger
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look, colleague, role_id, stranger_from

PUBLIC = {
    "create_company": "nobody has an account before",
    "create_session": "signing in is how one gets a token",
    "refresh_session": "the refresh token is the credential",
    "forgot_password": "whoever forgot the password cannot sign in",
    "reset_password": "the mailed token is the credential",
    "verify_email": "the mailed token is the credential",
    "preview_invitation": "the mailed token is the credential",
    "accept_invitation": "the mailed token is the credential",
    "get_signing_keys": "public keys are public",
    "list_plans": "what it costs is for everybody to see",
    "get_public_logo": "the signed address is the credential, and pages show the picture to anybody",
    "get_invitation_page": "the mailed link is the credential",
    "answer_invitation_page": "the mailed link is the credential",
    "get_calendar_file": "the secret address is the credential",
    "receive_stripe_webhook": "the provider's signature is the credential",
    "submit_form": "visitors of a website have no account; the form's key is the only door",
    "submit_case_form": "customers who ask have no account; the form's key is the only door",
}
"""Operations without a signed-in caller, each with its reason: a new one has to be written here."""

STREAMS = frozenset({"stream_events"})  # answer for as long as one listens
ENDS_THE_CALLER = frozenset(
    {"change_password", "delete_current_session"}
)  # the owner's token is dead afterwards
NOT_AT_ONCE = {
    "confirm_totp": 422,  # needs the code of the moment
    "disable_totp": 409, "renew_recovery_codes": 409,  # two-factor sign-in is off
    "retry_dead_letter": 404,  # no event has failed
    "update_billing_details": 412,  # other operations have made another version of the company
    "upload_import": 409, "start_import": 409, "undo_import": 409, "get_import_results": 409,  # not at that point yet
    "reactivate_member": 409, "restore_custom_field": 409, "complete_activity": 409,
    "reopen_lead": 409, "reopen_opportunity": 409, "reopen_activity": 409, "nurture_lead": 409, "qualify_lead": 409,
    "cancel_job": 409, "resend_verification": 409, "clone_role": 409, "delete_session": 404,
    # The plan is a draft: no worker has solved it.
    "adjust_optimised_assignment": 409, "apply_optimised_assignment": 409, "undo_optimised_assignment": 409,
    "claim_account": 409, "claim_lead": 409, "release_lead": 409,  # it lies in no pool; there is none for leads
    "remove_contact_role": 404,  # the new contact has no role
    "correct_opportunity_stage_visit": 404,  # its visits have ids of their own
    "complete_presales_request": 409,  # nobody has accepted it
    "read_notification": 404,  # nobody was told anything
    "answer_activity_invitation": 404,  # nobody was invited
    "check_in_activity": 422, "check_out_activity": 422, "set_activity_attendees": 422,  # it is a note
    "list_activity_occurrences": 409, "change_activity_occurrence": 409, "cancel_activity_occurrence": 409,
    "detach_file_from_activity": 404, "get_activity_attachment_content": 404,  # no file hangs on it
    "delete_calendar_feed": 404,
    "resume_subscription": 409,  # it is not cancelled
    # Payments are made by hand here, and nothing was billed.
    "add_payment_method": 409, "create_checkout_session": 409, "create_portal_session": 409,
    "delete_payment_method": 404, "pay_invoice": 404, "list_payment_attempts": 404,
    "list_usage_events": 422,  # of which metric, it does not say
    "get_bill": 404, "get_bill_pdf": 404, "redeem_billing_coupon": 404,  # nothing was billed, and no coupon is on offer
    "pull_queue": 403, "take_next_case": 409,  # nobody serves the queue, and the caller is not at the desk
    "get_privacy_request_certificate": 404, "get_privacy_request_content": 409,  # it is a draft
    "get_tenant_export": 404, "get_tenant_export_content": 409,  # no worker has written one
    "delete_tenant_logo": 412,  # setting the logo made a newer version of the company
    "generate_product_variants": 422,  # it has no options
    "detach_file_from_product": 404, "get_product_attachment_content": 404,  # no file hangs on it
    # The order is an empty draft and the return has just been asked for.
    "pause_coupon": 409, "end_coupon": 409, "issue_coupon": 409, "order_coupon_batch": 409,  # a shared draft
    "confirm_order": 409, "request_order_approval": 409,  # there is nothing on it
    "cancel_order_lines": 409, "close_order": 409, "ship_order": 409,
    "receive_return": 409, "inspect_return": 409, "refund_return": 409, "replace_return": 409, "repair_return": 409,
    "delete_return": 409, "batch_delete_returns": 409,
    # The service contract is over, the work order a draft, and the case names no order.
    "draw_service_contract": 409, "finish_work_order": 409, "resume_work_order": 409, "sign_work_order": 409,
    "open_case_return": 422,
    # The contract is a draft, which nobody was asked about and which has never been in force.
    "recall_contract": 409, "activate_contract": 409, "void_contract": 409, "reopen_contract": 409,
    "terminate_contract": 409, "withdraw_contract_notice": 409, "renew_contract": 409,
    "get_contract_revision": 404, "compare_contract_revisions": 404, "create_contract_amendment": 409,
    "get_contract_amendment": 404, "update_contract_amendment": 404, "submit_contract_amendment": 404,
    "recall_contract_amendment": 404, "withdraw_contract_amendment": 404,
    "recall_quote": 409, "revise_quote": 409, "accept_quote": 409, "decline_quote": 409,  # nobody has sent it
    "return_article": 409, "publish_article": 409, "revise_article": 409, "restore_article": 409,  # it is a draft
    "get_article_version": 404, "rate_article": 409, "search_knowledge": 422, "get_case_article_answer": 404,
    "set_knowledge_settings": 412,  # nobody has set anything
    "ask_by_survey": 409, "withdraw_survey_invitation": 404,  # the case is not resolved
    "create_quote_link": 409, "revoke_quote_link": 404, "get_quote_answer": 404,
    "get_account_credit": 409,  # the limit is in a currency without a rate
    "create_invoice_from_order": 409,  # the order is a draft
    "create_invoice_from_instalment": 422,  # nothing is planned
    "close_case": 409, "reopen_case": 409,  # it is new
    "detach_file_from_case": 404, "get_case_attachment_content": 404,  # no file hangs on it
    # It is a draft, and no credit note.
    "credit_invoice": 409, "allocate_credit_note": 409, "deallocate_credit_note": 409, "refund_credit_note": 409,
    "send_invoice": 409,  # of a draft
}  # fmt: skip
"""What a request that is right but comes at the wrong moment answers at most; success is fine too."""


def guarded(world: World) -> list[Operation]:
    return [
        operation
        for operation in world.operations
        if operation.access not in ("public", OPERATOR) and operation.id not in STREAMS
    ]


def told(answer: httpx.Response, *private: str) -> Any:
    """What an answer tells, without what is particular to the one request: ids that the caller sent, and its own."""
    text = answer.text
    for value in (*private, answer.headers["x-request-id"], answer.request.url.path):
        text = text.replace(value, "…")
    return answer.status_code, text


class Findings:
    """What went wrong with which operation; all of it is shown at once."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def expect(self, right: bool, operation: Operation, answer: httpx.Response, what: str = "") -> None:
        if not right:
            self._found.append(f"{operation.id} {what}: {answer.status_code} {answer.text[:300]}")

    def none(self) -> None:
        assert not self._found, "\n".join([f"{len(self._found)} findings:", *self._found])


async def nothing_changes(look: Look, worlds: list[World], act: Callable[[], Awaitable[None]]) -> None:
    before = await fingerprint(look.connection, *tenant_ids(*worlds))
    await act()
    assert changes(before, await fingerprint(look.connection, *tenant_ids(*worlds))) == {}


# -- who may call at all -------------------------------------------------------------------------------------


def test_only_the_declared_operations_are_public(ours):
    assert {operation.id for operation in ours.operations if operation.access == "public"} == set(PUBLIC)


async def garbage(world: World, look: Look) -> list[Client]:
    head, body, signature = str(world.owner.token).split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(body + "=="))
    claims["tid"] = str(uuid4())
    forged = base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    unsigned = base64.urlsafe_b64encode(orjson.dumps({"alg": "none", "typ": "at+jwt"})).rstrip(b"=").decode()
    tokens = ("nonsense", f"{head}.{forged}.{signature}", f"{unsigned}.{body}.", "rk_live_" + "x" * 40)
    return [Client(world.owner.http, token=token) for token in tokens]


async def nobody(world: World, look: Look) -> list[Client]:
    return [Client(world.owner.http)]


async def expired(world: World, look: Look) -> list[Client]:
    kernel = world.company.app.kernel
    assert kernel is not None
    tokens = kernel.authenticator.tokens  # type: ignore[attr-defined]
    known = tokens.verify(world.owner.token)
    late = tokens.issue(
        subject=known.subject,
        tenant_id=known.tenant_id,
        session_id=known.session_id,
        lifetime=timedelta(seconds=-1),
    )
    key = await world.owner.ok("POST", "/v1/api-keys", json={"name": f"late {uuid4().hex}"})
    await look.run(
        "UPDATE tenants.api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", UUID(key["id"])
    )
    return [Client(world.owner.http, token=late), Client(world.owner.http, token=key["key"])]


async def revoked_key(world: World, look: Look) -> list[Client]:
    key = await world.owner.ok("POST", "/v1/api-keys", json={"name": f"gone {uuid4().hex}"})
    client = Client(world.owner.http, token=key["key"])
    await client.ok("GET", "/v1/me")
    await world.owner.ok("DELETE", f"/v1/api-keys/{key['id']}", if_match=key["version"])
    return [client]


async def revoked_session(world: World, look: Look) -> list[Client]:
    client = await sign_in(stranger_from(world.company.app), world.company.email)
    await client.ok("GET", "/v1/me")
    assert (await client.delete("/v1/sessions/current")).is_success
    return [client]


async def deactivated(world: World, look: Look) -> list[Client]:
    client = await colleague(world.company, look, "admin")
    member = await world.owner.ok("GET", f"/v1/members/{client.facts['member_id']}")
    await client.ok("GET", "/v1/me")
    await world.owner.ok(
        "POST", f"/v1/members/{member['id']}/deactivate", json={}, if_match=member["version"]
    )
    return [client]


@pytest.mark.parametrize(
    "who", [nobody, garbage, expired, revoked_key, revoked_session, deactivated], ids=lambda who: who.__name__
)
async def test_whoever_is_not_signed_in_gets_through_nowhere(ours, look, who):
    clients, findings = await who(ours, look), Findings()

    async def act() -> None:
        for operation in [*guarded(ours), ours.by_id["stream_events"]]:
            request = ours.request(operation)
            for client in clients:
                answer = await request.send(client)
                refused = (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
                findings.expect(refused and "www-authenticate" in answer.headers, operation, answer)

    await nothing_changes(look, [ours], act)
    findings.none()


# -- lower roles ---------------------------------------------------------------------------------------------


async def test_without_a_permission_its_operations_are_forbidden(ours, look):
    role = await ours.owner.ok("POST", "/v1/roles", json={"name": f"Nothing {uuid4().hex}", "grants": {}})
    client, findings = await colleague(ours.company, look, "viewer", role_ids=[role["id"]]), Findings()

    async def act() -> None:
        for operation in guarded(ours):
            if operation.access != "signed_in":
                answer = await ours.request(operation).send(client)
                refused = (answer.status_code, answer.json().get("permission")) == (403, operation.access)
                findings.expect(refused, operation, answer)
                absent = await ours.request(operation, id=str(uuid4())).send(client)
                findings.expect(absent.status_code == 403, operation, absent, "with an unknown id")

    await nothing_changes(look, [ours], act)
    findings.none()


async def test_somebody_without_permissions_reads_nothing_of_the_company_by_other_ways(ours, look):
    role = await ours.owner.ok("POST", "/v1/roles", json={"name": f"Empty {uuid4().hex}", "grants": {}})
    client, findings = await colleague(ours.company, look, "viewer", role_ids=[role["id"]]), Findings()
    for operation in guarded(ours):
        if operation.access == "signed_in" and operation.safe:
            answer = await ours.request(operation).send(client)
            findings.expect(answer.status_code < 500, operation, answer)
            if operation.resource in ("timeline", "{plural}", "jobs", "files", "imports", "saved-views"):
                hidden = answer.status_code in (400, 403, 404) or answer.json().get("data") == []
                findings.expect(hidden, operation, answer, "shows somebody else's")
    findings.none()


async def test_a_viewer_changes_nothing(ours, look):
    client, findings = await colleague(ours.company, look, "viewer"), Findings()
    granted = {grant["permission"] for grant in (await client.ok("GET", "/v1/me/permissions"))["grants"]}

    async def act() -> None:
        for operation in guarded(ours):
            if not operation.safe and operation.access not in granted | {"signed_in"}:
                answer = await ours.request(operation).send(client)
                findings.expect(answer.status_code == 403, operation, answer)

    await nothing_changes(look, [ours], act)
    findings.none()


# -- another company -----------------------------------------------------------------------------------------


async def test_another_companys_things_are_as_absent_as_those_that_never_were(ours, theirs, look):
    """The very same answer for a foreign id and for an invented one, and never a success."""
    findings = Findings()

    async def act() -> None:
        for operation in guarded(ours):
            if not any(name == "id" or name.endswith("_id") for name in operation.names):
                continue
            foreign = ours.request(operation)
            invented = theirs.request(
                operation, **{name: str(uuid4()) for name in operation.names if "id" in name}
            )
            body = theirs.request(operation)
            answers = []
            for request in (foreign, invented):
                sent = Request(operation, request.path, body.body, body.content, body.headers)
                answers.append(await sent.send(theirs.owner))
            findings.expect(answers[0].status_code == 404, operation, answers[0])
            ids = [
                part for request in (foreign, invented) for part in request.path.split("/") if len(part) == 36
            ]
            same = told(answers[0], *ids) == told(answers[1], *ids)
            findings.expect(same, operation, answers[0], f"differs from {answers[1].text[:200]}")

    await nothing_changes(look, [ours, theirs], act)
    findings.none()


NOT_LOOKED_AT = {
    (
        "find_contact_duplicates",
        "account_id",
    ): "a hint where to look first; an unknown account has no contacts",
    ("resolve_prices", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("create_quote", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("update_quote", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("batch_create_quotes", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("batch_update_quotes", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("batch_upsert_quotes", "partner_id"): "compared with what prices are for, in the company's own lists",
    ("submit_quote", "chosen_ids"): "only for a process that leaves the choice; none does",
    **{
        (operation, "partner_id"): "kept as it is given: partners are no records of ours"
        for operation in (
            "create_order",
            "update_order",
            "place_order",
            "batch_create_orders",
            "batch_update_orders",
            "batch_upsert_orders",
        )
    },
    ("convert_lead", "owner_id"): "only for a lead that nobody owns; this one has an owner",
    ("preview_lead_conversion", "owner_id"): "only for a lead that nobody owns; this one has an owner",
}
"""Ids that an operation takes but does not use, each with its reason."""


async def test_another_companys_ids_in_bodies_are_as_unknown_as_invented_ones(ours, theirs, look):
    findings = Findings()
    for operation in guarded(theirs):
        if (
            operation.body is None
            or operation.id in ENDS_THE_CALLER
            or operation.resource in ("sessions", "totp")
        ):
            continue
        for place, name in places_of_ids(theirs.sampler, operation.body):
            foreign, invented = ours.sampler.reference(name, operation.resource), str(uuid4())
            await theirs.renew(operation)
            answers = []
            for id in (foreign, invented):
                request = theirs.request(operation)
                body = with_id(theirs.sampler, operation.body, request.body, place, id, operation.resource)
                content = orjson.dumps(body) if request.content is not None else None
                sent = Request(operation, request.path, body, content, request.headers)
                answers.append(await sent.send(theirs.owner))
            where = "/" + "/".join(map(str, place))
            taken = answers[0].is_success and not _all_failed(answers[0])
            unused = (operation.id, name) in NOT_LOOKED_AT
            findings.expect(not taken or unused, operation, answers[0], f"takes {where}")
            findings.expect(answers[0].status_code < 500, operation, answers[0], where)
            same = unused or _outcome(answers[0]) == _outcome(answers[1])
            findings.expect(same, operation, answers[0], f"{where} differs from {answers[1].text[:200]}")
    findings.none()


def _all_failed(answer: httpx.Response) -> bool:
    return answer.status_code == 207 and bool(answer.json()["succeeded"] == 0)


def _outcome(answer: httpx.Response) -> Any:
    body = answer.json() if answer.content else {}
    places = [(error["pointer"], error["code"]) for error in body.get("errors", [])]
    return answer.status_code, body.get("code"), places


async def test_another_companys_ids_in_filters_find_nothing(ours, theirs):
    findings = Findings()
    for operation in guarded(theirs):
        if not operation.safe or "id" in operation.names:
            continue
        declared = [p for p in operation.spec.get("parameters", ()) if p["in"] == "query"]
        names = [p["name"] for p in declared if "uuid" in str(p["schema"])]
        if operation.spec.get("x-open-query") and operation.id.startswith("list_"):
            names += ["id", "owner_id", "team_id", "id[in]"]
        for name in names:
            plain = name.partition("[")[0]
            answers = []
            for id in (ours.sampler.reference(plain, operation.resource), str(uuid4())):
                request = theirs.request(operation)
                separator = "&" if "?" in request.path else "?"
                path = request.path.replace(theirs.ids["accounts"], id) if name in request.path else None
                answers.append(await theirs.owner.get(path or f"{request.path}{separator}{name}={id}"))
            findings.expect(answers[0].status_code < 500, operation, answers[0], name)
            findings.expect("zebra" not in answers[0].text, operation, answers[0], f"{name} leaks")
            same = _without_ids(answers[0]) == _without_ids(answers[1])
            findings.expect(same, operation, answers[0], f"{name} differs from {answers[1].text[:200]}")
    findings.none()


def _without_ids(answer: httpx.Response) -> Any:
    body = answer.json()
    return answer.status_code, body.get("code"), body.get("data")


async def test_searches_by_another_companys_ids_find_nothing(ours, theirs, app):
    findings = Findings()
    for record in app.registry.records.values():
        operation = theirs.by_id[f"search_{record.plural}"]
        for name, found in record.fields.items():
            if found.kind.value == "uuid":
                id = ours.sampler.reference(name, record.path)
                condition = {"field": name, "op": "eq", "value": id}
                answer = await theirs.owner.post(operation.path, {"filter": {"or": [{"and": [condition]}]}})
                findings.expect(
                    answer.status_code == 200 and answer.json()["data"] == [], operation, answer, name
                )
        for text in ("zebra", ours.company.email):
            answer = await theirs.owner.post(operation.path, {"query": text})
            findings.expect(
                answer.status_code == 200 and answer.json()["data"] == [], operation, answer, text
            )
    findings.none()


async def test_no_answer_to_one_company_shows_a_word_of_another(ours, theirs):
    findings = Findings()
    for operation in guarded(theirs):
        if operation.safe:
            answer = await theirs.request(operation).send(theirs.owner)
            findings.expect("zebra" not in answer.text, operation, answer)
            findings.expect(str(ours.company.tenant_id) not in answer.text, operation, answer)
    findings.none()


# -- suspended, cancelled, past due ---------------------------------------------------------------------------


WRITES_WHILE_SUSPENDED = {
    "create_export": "what a company leaves with",
    "stream_export": "what a company leaves with",
    "begin_tenant_export": "what a company leaves with",
    "delete_current_session": "signing out",
    "delete_session": "signing a lost device out",
    "switch_company": "the person's other companies are not suspended",
    "cancel_subscription": "nobody is kept",
    "add_payment_method": "paying is what ends a suspension",
    "delete_payment_method": "paying is what ends a suspension",
    "create_checkout_session": "paying is what ends a suspension",
    "create_portal_session": "paying is what ends a suspension",
    "pay_invoice": "paying is what ends a suspension",
    "update_billing_details": "whom the bill is made out to",
    "resume_subscription": "this is how a planned cancellation is taken back",
}
"""Operations that are no reads but work for a suspended company, each with its reason, besides searching."""
NOT_WHILE_CANCELLED = frozenset({"cancel_subscription"})
READS_WHILE_CANCELLED = frozenset(
    {
        "get_tenant_export", "get_tenant_export_content", "list_jobs", "get_job", "get_file", "get_file_content",  # an export is a job, and a file in the end
        "list_sessions", "get_me", "get_my_permissions", "get_tenant",  # what signing in needs
        "get_usage", "get_seats", "get_subscription", "get_upcoming_invoice", "get_billing_account",
        "list_bills", "get_bill", "get_bill_pdf", "list_bill_credit_notes", "get_billing_balance",
        "list_payment_methods", "list_payment_attempts", "get_billing_details",
    }
)  # fmt: skip
"""What a cancelled company may still read: its export, and what it owes."""


def works_in(world: World, mark: str, *, safe: bool) -> set[str]:
    return {o.id for o in guarded(world) if o.spec.get(mark) and o.safe is safe}


def test_only_the_declared_operations_work_in_an_account_that_is_suspended_or_cancelled(ours):
    searches = {o.id for o in guarded(ours) if o.path.endswith("/search") and o.id.startswith("search_")}
    suspended = works_in(ours, "x-while-suspended", safe=False)
    assert suspended - searches == set(WRITES_WHILE_SUSPENDED)
    cancelled = works_in(ours, "x-while-cancelled", safe=False)
    assert cancelled == set(WRITES_WHILE_SUSPENDED) - NOT_WHILE_CANCELLED
    assert works_in(ours, "x-while-cancelled", safe=True) == READS_WHILE_CANCELLED


@asynccontextmanager
async def in_status(world: World, look: Look, status: str, **columns: Any) -> AsyncIterator[None]:
    """The company's account is in a status for a while."""
    kernel = world.company.app.kernel
    assert kernel is not None

    async def put(values: dict[str, Any]) -> None:
        for name, value in values.items():
            await look.run(
                f"UPDATE tenants.tenants SET {name} = $2 WHERE tenant_id = $1", world.company.tenant_id, value
            )
        kernel.authenticator.forget(world.company.tenant_id)

    await put({"status": status, **columns})
    try:
        yield
    finally:
        await put({"status": "active", **dict.fromkeys(columns)})


async def test_a_suspended_company_reads_but_changes_nothing(theirs, look):
    findings = Findings()

    async def act() -> None:
        for operation in guarded(theirs):
            if operation.id in WRITES_WHILE_SUSPENDED:
                continue
            answer = await theirs.request(operation).send(theirs.owner)
            if operation.safe or operation.spec.get("x-while-suspended"):
                findings.expect(answer.status_code not in (401, 403), operation, answer)
                if answer.is_success:
                    findings.expect(answer.headers.get("account-status") == "suspended", operation, answer)
            else:
                refused = (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
                findings.expect(refused, operation, answer)

    async with in_status(theirs, look, "suspended"):
        await nothing_changes(look, [theirs], act)
    findings.none()


async def test_a_cancelled_company_reads_its_export_and_its_bill_and_nothing_else(theirs, look):
    findings = Findings()

    async def act() -> None:
        for operation in guarded(theirs):
            open_to_it = operation.spec.get("x-while-cancelled")
            if open_to_it and not operation.safe:
                continue
            answer = await theirs.request(operation).send(theirs.owner)
            if open_to_it:
                findings.expect(answer.status_code not in (401, 403), operation, answer)
            else:
                refused = (answer.status_code, answer.json()["code"]) == (403, "tenant_cancelled")
                findings.expect(refused and "export_until" in answer.json(), operation, answer)

    async with in_status(theirs, look, "cancelled", export_until=datetime.now(UTC) + timedelta(days=1)):
        await nothing_changes(look, [theirs], act)
    findings.none()


@pytest.mark.parametrize("status", ["cancelled", "erased"])
async def test_once_its_export_window_is_over_a_company_can_do_nothing_at_all(theirs, look, status):
    findings = Findings()

    async def act() -> None:
        for operation in guarded(theirs):
            answer = await theirs.request(operation).send(theirs.owner)
            refused = (answer.status_code, answer.json()["code"]) == (403, "tenant_cancelled")
            findings.expect(refused and "export_until" not in answer.json(), operation, answer)

    async with in_status(theirs, look, status, export_until=datetime.now(UTC)):
        await nothing_changes(look, [theirs], act)
    findings.none()


async def test_a_past_due_company_reads_everything_and_is_told_so(theirs, look):
    findings = Findings()
    async with in_status(theirs, look, "past_due"):
        for operation in guarded(theirs):
            if operation.safe:
                answer = await theirs.request(operation).send(theirs.owner)
                findings.expect(answer.status_code not in (401, 403), operation, answer)
                if answer.is_success:
                    findings.expect(answer.headers.get("account-status") == "past_due", operation, answer)
    findings.none()


# -- and the one who may -------------------------------------------------------------------------------------


async def test_the_owner_gets_through_everywhere(theirs):
    """Otherwise the refusals above might have other reasons."""
    findings = Findings()
    for operation in guarded(theirs):
        if operation.id in ENDS_THE_CALLER:
            continue
        await theirs.renew(operation)
        answer = await theirs.request(operation).send(theirs.owner)
        fine = answer.is_success or answer.status_code == NOT_AT_ONCE.get(operation.id)
        findings.expect(fine, operation, answer)
        if operation.method == "DELETE" or "/batch/delete" in operation.path:
            await theirs.replace(operation)
    findings.none()


async def test_a_stranger_learns_nothing_from_public_operations(app, ours):
    client = stranger(app)
    assert ours.company.email
    for operation in ours.operations:
        if operation.access == "public":
            answer = await ours.request(operation).send(client)
            assert answer.status_code < 500, operation.id
            assert "Owner" not in answer.text or operation.id == "create_company", operation.id


async def test_roles_of_another_company_are_not_granted(ours, theirs):
    foreign = await role_id(ours.company, "owner")
    body = {"email": f"x{uuid4().hex}@example.com", "name": "X", "role_ids": [foreign]}
    answer = await theirs.owner.post("/v1/invitations", body)
    assert answer.status_code == 422
