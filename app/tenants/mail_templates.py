"""The mails that the product itself sends, in English and Chinese, as plain text.

Each is a job of the transaction that caused it: nothing is sent for what was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from uuid import UUID

from app.kernel.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Template:
    """Subject and text per language; `{name}` and the like are filled in."""

    subject: dict[str, str]
    text: dict[str, str]


VERIFICATION: Final = Template(
    {"en": "Please confirm your e-mail address", "zh": "请确认您的邮箱地址"},
    {
        "en": "Hello {name},\n\nplease confirm that this is your address:\n\n{link}\n\n"
        "The link works for seven days. If you did not sign up, you need do nothing.\n",
        "zh": "{name}，您好：\n\n请点击以下链接确认这是您的邮箱地址：\n\n{link}\n\n"
        "链接七天内有效。如果您没有注册，请忽略本邮件。\n",
    },
)
PASSWORD_RESET: Final = Template(
    {"en": "Choose a new password", "zh": "重置您的密码"},
    {
        "en": "Hello {name},\n\nsomebody, probably you, asked for a new password. Choose it here:\n\n{link}\n\n"
        "The link works for one hour and once. If it was not you, you need do nothing: the old password stays.\n",
        "zh": "{name}，您好：\n\n我们收到了重置密码的请求。请通过以下链接设置新密码：\n\n{link}\n\n"
        "链接一小时内有效，且只能使用一次。如果不是您本人操作，请忽略本邮件，原密码不变。\n",
    },
)
PASSWORD_CHANGED: Final = Template(
    {"en": "Your password was changed", "zh": "您的密码已更改"},
    {
        "en": "Hello {name},\n\nyour password was changed just now, and your other sessions were ended.\n"
        "If it was not you, choose a new password at once: {link}\n",
        "zh": "{name}，您好：\n\n您的密码刚刚已更改，其他登录会话已全部结束。\n"
        "如果不是您本人操作，请立即重置密码：{link}\n",
    },
)
INVITATION: Final = Template(
    {"en": "{inviter} invites you to {company}", "zh": "{inviter}邀请您加入{company}"},
    {
        "en": "Hello {name},\n\n{inviter} invites you to work with {company} in Rapport. Join here:\n\n{link}\n\n"
        "The link works for seven days.\n",
        "zh": "{name}，您好：\n\n{inviter}邀请您在 Rapport 中加入{company}。请通过以下链接加入："
        "\n\n{link}\n\n链接七天内有效。\n",
    },
)
TOTP_CHANGED: Final = Template(
    {"en": "Two-factor sign-in was {change}", "zh": "两步验证已{change}"},
    {
        "en": "Hello {name},\n\ntwo-factor sign-in of your account was {change} just now.\n"
        "If it was not you, change your password at once: {link}\n",
        "zh": "{name}，您好：\n\n您账户的两步验证刚刚已{change}。\n如果不是您本人操作，请立即更改密码：{link}\n",
    },
)
WEBHOOK_DISABLED: Final = Template(
    {"en": "A webhook of {company} was switched off", "zh": "{company}的一个 Webhook 已停用"},
    {
        "en": "Hello {name},\n\nthe webhook {url} {reason}, so we switched it off.\n"
        "Once its receiver works again, switch it on and replay what it missed: {link}\n",
        "zh": "{name}，您好：\n\nWebhook {url} {reason}，我们已将其停用。\n"
        "接收端恢复后，请重新启用并重放错过的事件：{link}\n",
    },
)
_REASONS: Final = {
    "en": {"failing": "has not answered for {days} days", "gone": "said that it is gone for good (410)"},
    "zh": {"failing": "已连续 {days} 天没有正常响应", "gone": "返回 410,表示已永久下线"},
}
_CHANGES: Final = {"en": {"on": "switched on", "off": "switched off"}, "zh": {"on": "启用", "off": "关闭"}}


def send_verification(uow: UnitOfWork, *, to: str, name: str, locale: str, token: str) -> None:
    """Ask somebody to confirm their address."""
    send(uow, VERIFICATION, to=to, locale=locale, name=name, link=_link(uow, "verify-email", token))


def send_password_reset(uow: UnitOfWork, *, to: str, name: str, locale: str, token: str) -> None:
    """Let somebody choose a new password."""
    send(uow, PASSWORD_RESET, to=to, locale=locale, name=name, link=_link(uow, "reset-password", token))


def send_password_changed(uow: UnitOfWork, *, to: str, name: str, locale: str) -> None:
    """Tell somebody that their password was changed, in case it was not them."""
    send(uow, PASSWORD_CHANGED, to=to, locale=locale, name=name, link=_page(uow, "forgot-password"))


def send_totp_changed(uow: UnitOfWork, *, to: str, name: str, locale: str, on: bool) -> None:
    """Tell somebody that two-factor sign-in was switched on or off."""
    change = _CHANGES[language(locale)]["on" if on else "off"]
    send(
        uow, TOTP_CHANGED, to=to, locale=locale, name=name, change=change, link=_page(uow, "forgot-password")
    )


def send_invitation(
    uow: UnitOfWork, *, to: str, name: str, locale: str, token: str, inviter: str, company: str
) -> None:
    """Ask somebody to join a company."""
    link = _link(uow, "accept-invitation", token)
    send(uow, INVITATION, to=to, locale=locale, name=name, link=link, inviter=inviter, company=company)


def send_webhook_disabled(
    uow: UnitOfWork, *, to: str, name: str, locale: str, url: str, reason: str, days: int, webhook_id: UUID
) -> None:
    """Tell an owner that a webhook was switched off: `failing` for whole `days`, or `gone`."""
    send(
        uow,
        WEBHOOK_DISABLED,
        to=to,
        locale=locale,
        name=name,
        company=uow.actor.tenant.name,
        url=url,
        reason=_REASONS[language(locale)][reason].format(days=days),
        link=_page(uow, f"webhooks/{webhook_id}"),
    )


def send(uow: UnitOfWork, template: Template, *, to: str, locale: str, **values: str) -> None:
    """Queue a mail with the transaction. Line breaks in values are blanks: a name cannot add lines or headers."""
    clean = {name: " ".join(value.split()) for name, value in values.items()}
    tongue = language(locale)
    uow.enqueue(
        "mail.send",
        {
            "to": to,
            "subject": template.subject[tongue].format_map(clean),
            "text": template.text[tongue].format_map(clean),
        },
    )


def language(locale: str) -> str:
    """The language of the mails for a locale."""
    return "zh" if locale.lower().startswith("zh") else "en"


def _page(uow: UnitOfWork, name: str) -> str:
    return uow.kernel.settings.address_of(f"/app/{name}")


def _link(uow: UnitOfWork, name: str, token: str) -> str:
    # In the fragment, so that the token never reaches a server's log or a Referer header.
    return f"{_page(uow, name)}#token={quote(token)}"
