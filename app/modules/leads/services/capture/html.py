"""The page behind the link of a mail that asks to confirm an address."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import HTMLResponse

from app.kernel.pages.public import NOBODYS, Look, message_page, page
from app.modules.leads.services.capture.submissions import Confirmation
from app.modules.leads.services.capture.texts import TEXTS


def saying(
    title: str, text: str, language: str, *, look: Look = NOBODYS, status: int = 200, back: str | None = None
) -> HTMLResponse:
    """A page that says one thing; `back` is the key of a form to return to."""
    again = (
        f'<p><a href="/forms/{quote(back)}?lang={language}">{TEXTS[language]["again"]}</a></p>'
        if back
        else ""
    )
    return message_page(title, text, language, look=look, status=status, more=again)


def confirmation_page(standing: Confirmation, token: str, look: Look) -> HTMLResponse:
    """The page behind a mailed link: a button, because programs that look at mails open links."""
    language = standing.language if standing.language in TEXTS else "en"
    texts = TEXTS[language]
    if standing.state == "done":
        return saying(texts["confirmed_title"], standing.thanks or texts["confirmed"], language, look=look)
    if standing.state == "expired":
        return saying(
            texts["expired_title"], texts["expired"], language, look=look, status=410, back=standing.form_key
        )
    body = (
        f"<h1>{texts['confirm_title']}</h1><p>{texts['confirm']}</p>"
        f'<form method="post" action="/forms/confirmations/{quote(token)}">'
        f'<p><button type="submit">{texts["confirm_button"]}</button></p></form>'
    )
    return page(texts["confirm_title"], body, language, look=look)
