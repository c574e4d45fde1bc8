"""What visitors read of confirming an address, in English and Chinese."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "check_mail": "Thank you. We have sent you a mail: please confirm your address by the link in it.",
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
    },
    "zh": {
        "check_mail": "谢谢。我们已向您发送邮件，请点击其中的链接确认您的邮箱地址。",
        "confirm_title": "请确认您的邮箱地址",
        "confirm": "请点击按钮，确认这是您的邮箱地址。",
        "confirm_button": "确认",
        "confirmed_title": "谢谢",
        "confirmed": "您的邮箱地址已确认。",
        "expired_title": "链接已过期",
        "expired": "链接有效期为七天。请重新填写表单，我们会发送新的链接。",
        "again": "返回表单",
        "mail_subject": "请确认您的邮箱地址",
        "mail_text": "您好，\n\n有人（很可能是您）使用此邮箱地址填写了{company}的表单“{form}”。请点击以下链接确认："
        "\n\n{link}\n\n链接七天内有效。如果不是您本人操作，请忽略本邮件。\n",
    },
}
