"""Wire schemas of passwords, addresses and two-factor sign-in."""

from __future__ import annotations

from pydantic import Field

from app.kernel.contact import Email
from app.kernel.schemas import Input, Output
from app.tenants.schemas import Password, RecoveryCode, Token, Totp


class ForgotPassword(Input):
    email: Email


class ResetPassword(Input):
    token: Token = Field(description="From the mail.")
    password: Password


class ChangePassword(Input):
    current_password: Password
    new_password: Password


class VerifyEmail(Input):
    token: Token = Field(description="From the mail.")


class TotpStartInput(Input):
    password: Password


class TotpStartAnswer(Output):
    secret: str = Field(description="For typing into the authenticator app.")
    uri: str = Field(description="For a QR code: `otpauth://totp/…`.")


class TotpConfirm(Input):
    code: Totp


class RecoveryCodes(Output):
    recovery_codes: list[str] = Field(description="Each signs in once without the app; shown this once.")


class TotpOff(Input):
    password: Password
    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None


class RenewRecoveryCodes(Input):
    password: Password
    totp: Totp
