"""Passwords, addresses and two-factor sign-in over HTTP."""

from __future__ import annotations

from fastapi import Response

from app.kernel.contact import normalise_email
from app.kernel.errors import Conflict, problems
from app.kernel.routing import Router
from app.tenants.auth import account, two_factor
from app.tenants.auth.account_schemas import (
    ChangePassword,
    ForgotPassword,
    RecoveryCodes,
    RenewRecoveryCodes,
    ResetPassword,
    TotpConfirm,
    TotpOff,
    TotpStartAnswer,
    TotpStartInput,
    VerifyEmail,
)
from app.tenants.auth.attempts import TooManyAttempts
from app.tenants.auth.caller import CallerDep
from app.tenants.auth.control import MembersOnly
from app.tenants.interface import LinkUsed, TotpState

router = Router(prefix="/v1", tags=["sign-in"])
_LINK = problems(LinkUsed, TooManyAttempts)
_PERSON = problems(MembersOnly, TooManyAttempts, Conflict)
_TOTP = problems(MembersOnly, TooManyAttempts, TotpState)


@router.post(
    "/password/forgot",
    access="public",
    own_transaction=True,
    status_code=202,
    response_class=Response,
    responses=problems(TooManyAttempts),
)
async def forgot_password(body: ForgotPassword, caller: CallerDep) -> Response:
    """Ask for a mail with a link to choose a new password. The answer is the same for unknown addresses."""
    await account.forgot_password(caller, normalise_email(body.email))
    return Response(status_code=202)


@router.post("/password/reset", access="public", own_transaction=True, status_code=204, responses=_LINK)
async def reset_password(body: ResetPassword, caller: CallerDep) -> None:
    """Choose a new password with the token of the mail: once, within the hour. Ends all your sessions."""
    await account.reset_password(caller, body.token, body.password)


@router.post("/password", access="signed_in", own_transaction=True, status_code=204, responses=_PERSON)
async def change_password(body: ChangePassword, caller: CallerDep) -> None:
    """Change your password. Ends all your other sessions, in every company."""
    await account.change_password(caller, body.current_password, body.new_password)


@router.post("/email/verify", access="public", own_transaction=True, status_code=204, responses=_LINK)
async def verify_email(body: VerifyEmail, caller: CallerDep) -> None:
    """Confirm your address with the token of the mail."""
    await account.verify_email(caller, body.token)


@router.post(
    "/email/verify/resend",
    access="signed_in",
    own_transaction=True,
    status_code=202,
    response_class=Response,
    responses=_PERSON,
)
async def resend_verification(caller: CallerDep) -> Response:
    """Have the mail that confirms your address sent again; nothing happens if it is confirmed."""
    await account.resend_verification(caller)
    return Response(status_code=202)


@router.post(
    "/totp", access="signed_in", own_transaction=True, response_model=TotpStartAnswer, responses=_TOTP
)
async def start_totp(body: TotpStartInput, caller: CallerDep, response: Response) -> TotpStartAnswer:
    """Begin to switch two-factor sign-in on: a secret for the authenticator app. Confirm it with a code."""
    response.headers["Cache-Control"] = "no-store"
    started = await two_factor.start(caller, body.password)
    return TotpStartAnswer(secret=started.secret, uri=started.uri)


@router.post(
    "/totp/confirm", access="signed_in", own_transaction=True, response_model=RecoveryCodes, responses=_TOTP
)
async def confirm_totp(body: TotpConfirm, caller: CallerDep, response: Response) -> RecoveryCodes:
    """Switch two-factor sign-in on with a first code; answers ten recovery codes, shown this once."""
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=await two_factor.confirm(caller, body.code))


@router.post("/totp/disable", access="signed_in", own_transaction=True, status_code=204, responses=_TOTP)
async def disable_totp(body: TotpOff, caller: CallerDep) -> None:
    """Switch two-factor sign-in off, with password and a code: an access token alone is not enough."""
    await two_factor.switch_off(caller, body.password, totp=body.totp, recovery_code=body.recovery_code)


@router.post(
    "/totp/recovery-codes",
    access="signed_in",
    own_transaction=True,
    response_model=RecoveryCodes,
    responses=_TOTP,
)
async def renew_recovery_codes(
    body: RenewRecoveryCodes, caller: CallerDep, response: Response
) -> RecoveryCodes:
    """Ten new recovery codes; the old ones stop working."""
    response.headers["Cache-Control"] = "no-store"
    codes = await two_factor.renew_recovery_codes(caller, body.password, body.totp)
    return RecoveryCodes(recovery_codes=codes)
