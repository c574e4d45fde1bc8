"""What owners and admins are told about bills, in the company's language."""

from __future__ import annotations

from typing import Final

from app.kernel.money import format_minor
from app.kernel.uow import UnitOfWork
from app.tenants.billing.models import Bill
from app.tenants.billing.readers import readers
from app.tenants.mail_templates import Template, send

ISSUED: Final = Template(
    {"en": "Invoice {number}: {amount} until {day}", "zh": "账单 {number}：请于 {day} 前支付 {amount}"},
    {
        "en": "Hello {name},\n\ninvoice {number} of {company} comes to {amount}, due on {day}. "
        "It says where to pay to:\n\n{link}\n",
        "zh": "{name}，您好：\n\n{company}的账单 {number} 应付 {amount}，到期日 {day}。"
        "付款方式见账单：\n\n{link}\n",
    },
)
OVERDUE: Final = Template(
    {"en": "Invoice {number} is not paid", "zh": "账单 {number} 尚未支付"},
    {
        "en": "Hello {name},\n\n{amount} of invoice {number} of {company} was due on {day}. "
        "Please pay it, so that your account stays open:\n\n{link}\n",
        "zh": "{name}，您好：\n\n{company}的账单 {number} 应付 {amount}，已于 {day} 到期。"
        "请尽快支付，以免账户被停用：\n\n{link}\n",
    },
)
DECLINED: Final = Template(
    {"en": "Payment of invoice {number} failed", "zh": "账单 {number} 扣款失败"},
    {
        "en": "Hello {name},\n\nwe could not take {amount} for invoice {number} of {company}: {reason}\n"
        "We try again on {day}. You can pay at once, or store another way to pay:\n\n{link}\n",
        "zh": "{name}，您好：\n\n{company}的账单 {number}（{amount}）扣款失败：{reason}\n"
        "我们将于 {day} 再次扣款。您也可以立即支付或更换付款方式：\n\n{link}\n",
    },
)
SUSPENDED: Final = Template(
    {"en": "The account of {company} is suspended", "zh": "{company}的账户已停用"},
    {
        "en": "Hello {name},\n\ninvoice {number} over {amount} was not paid in two weeks, so your account is "
        "suspended: you can read, export and pay. It opens again as soon as the invoice is paid:\n\n{link}\n\n"
        "After {days} days the account is cancelled.\n",
        "zh": "{name}，您好：\n\n账单 {number}（{amount}）两周内未支付，您的账户已停用，"
        "目前仅可查看、导出和支付。支付后账户立即恢复：\n\n{link}\n\n{days} 天后账户将被注销。\n",
    },
)
RECOVERED: Final = Template(
    {"en": "Thank you: {company} is paid up", "zh": "感谢支付：{company}的账户已恢复正常"},
    {
        "en": "Hello {name},\n\nnothing is overdue any more, and the account of {company} is open again.\n",
        "zh": "{name}，您好：\n\n{company}已无逾期账单，账户已恢复正常。\n",
    },
)
REASONS: Final = {
    "en": {
        "no_payment_method": "no way to pay is stored.",
        "insufficient_funds": "there is not enough money in the account.",
        "expired_card": "the card has expired.",
        "authentication_required": "the bank wants you to confirm the payment yourself.",
    },
    "zh": {
        "no_payment_method": "尚未保存付款方式。",
        "insufficient_funds": "余额不足。",
        "expired_card": "银行卡已过期。",
        "authentication_required": "银行要求您本人确认付款。",
    },
}
_OTHER: Final = {"en": "the bank declined it.", "zh": "银行拒绝了扣款。"}


async def tell(uow: UnitOfWork, template: Template, **values: str) -> None:
    """Mail every owner and admin of the company at hand."""
    tenant = uow.actor.tenant
    link = uow.kernel.settings.address_of("/app/billing")
    for one in await readers(uow):
        send(
            uow,
            template,
            to=one["email"],
            locale=tenant.locale,
            name=one["name"],
            company=tenant.name,
            link=link,
            **values,
        )


async def tell_of_bill(uow: UnitOfWork, template: Template, bill: Bill, **values: str) -> None:
    """The same about a bill: its number, what is due of it, and when."""
    due = bill.due_at or uow.now
    await tell(
        uow,
        template,
        **{
            "number": bill.number or "",
            "amount": f"{format_minor(bill.due, bill.currency)} {bill.currency}",
            "day": uow.actor.tenant.day_of(due).isoformat(),
            **values,
        },
    )


def reason_for(uow: UnitOfWork, code: str | None) -> str:
    """Why a payment failed, for people."""
    language = uow.actor.tenant.language
    return REASONS[language].get(code or "", _OTHER[language])
