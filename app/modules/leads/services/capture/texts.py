"""What visitors read, in English and Chinese: pages, messages, and the mail that asks to confirm an address."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "thanks": "Thank you. We have received your message.",
        "check_mail": "Thank you. We have sent you a mail: please confirm your address by the link in it.",
        "send": "Send",
        "required": "required",
        "choose": "Please choose",
        "wrong": "Please look at these fields again:",
        "failed": "That did not work. Please try again later.",
        "too_many": "There were too many messages just now. Please try again later.",
        "leave_empty": "Please leave this empty",
        "gone_title": "There is nothing here",
        "gone": "This form does not exist, or it is closed.",
        "confirm_title": "Please confirm your address",
        "confirm": "Press the button to confirm that this is your e-mail address.",
        "confirm_button": "Confirm",
        "confirmed_title": "Thank you",
        "confirmed": "Your address is confirmed.",
        "expired_title": "This link has expired",
        "expired": "It worked for seven days. Please fill in the form again; you will get a new link.",
        "again": "Back to the form",
        "mail_subject": "Please confirm your e-mail address",
        "mail_text": "Hello,\n\nsomebody, probably you, filled in the form “{form}” of {company} with this address."
        " Please confirm it:\n\n{link}\n\nThe link works for seven days. If it was not you, you need do nothing.\n",
        "invalid_email": "This is not an e-mail address.",
        "invalid_phone": "This is not a telephone number.",
        "invalid_url": "This is not a web address.",
        "field_required": "Please fill this in.",
        "consent_required": "Please agree to this.",
        "unknown_option": "Please choose one of the options.",
        "invalid": "This cannot be right.",
    },
    "zh": {
        "thanks": "谢谢,我们已收到您的信息。",
        "check_mail": "谢谢。我们已向您发送邮件,请点击其中的链接确认您的邮箱地址。",
        "send": "提交",
        "required": "必填",
        "choose": "请选择",
        "wrong": "请检查以下内容:",
        "failed": "提交失败,请稍后再试。",
        "too_many": "提交过于频繁,请稍后再试。",
        "leave_empty": "请勿填写此项",
        "gone_title": "页面不存在",
        "gone": "该表单不存在或已关闭。",
        "confirm_title": "请确认您的邮箱地址",
        "confirm": "请点击按钮,确认这是您的邮箱地址。",
        "confirm_button": "确认",
        "confirmed_title": "谢谢",
        "confirmed": "您的邮箱地址已确认。",
        "expired_title": "链接已过期",
        "expired": "链接有效期为七天。请重新填写表单,我们会发送新的链接。",
        "again": "返回表单",
        "mail_subject": "请确认您的邮箱地址",
        "mail_text": "您好,\n\n有人(很可能是您)使用此邮箱地址填写了{company}的表单“{form}”。请点击以下链接确认:"
        "\n\n{link}\n\n链接七天内有效。如果不是您本人操作,请忽略本邮件。\n",
        "invalid_email": "邮箱地址格式不正确。",
        "invalid_phone": "电话号码格式不正确。",
        "invalid_url": "网址格式不正确。",
        "field_required": "请填写此项。",
        "consent_required": "请勾选同意。",
        "unknown_option": "请选择其中一项。",
        "invalid": "内容不正确。",
    },
}
_MESSAGES: Final = {"required": "field_required"}


def message_for(code: str, language: str) -> str:
    """What a visitor is told about a field with this finding."""
    texts = TEXTS[language]
    name = _MESSAGES.get(code, code)
    return (
        texts[name]
        if name.startswith(("invalid_", "field_", "consent_", "unknown_")) and name in texts
        else texts["invalid"]
    )
