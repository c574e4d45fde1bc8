"""Mail: whole files in a folder, real SMTP, nothing smuggled into headers."""

from __future__ import annotations

import asyncio
import email
import email.policy
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.kernel.clock import FixedClock
from app.kernel.config import Settings
from app.kernel.mail import MAIL_SEND, Mailer, Message, Transport, compose, stored_mail, stored_mails

HELLO = Message(
    to="王伟 <wei@example.com>",
    subject="你好 Ada",
    text="Open https://crm.example/x?a=1&b=2\n",
    html="<p>你好</p>",
)


async def test_mail_goes_to_the_folder_newest_first(tmp_path: Path):
    mailer = Mailer.from_settings(Settings(environment="test", data_dir=tmp_path))
    await mailer.send(HELLO)
    await mailer.send(Message(to="bo@example.com", subject="Second", text="Hi"))
    second, first = stored_mails(mailer.folder)
    assert (second.subject, second.to, second.html) == ("Second", "bo@example.com", None)
    assert (first.subject, first.text) == ("你好 Ada", HELLO.text)
    assert first.html == "<p>你好</p>\n"


@pytest.mark.parametrize("name", ["../secret.key", "x.eml", "..", "0" * 36 + ".txt"])
def test_only_mails_of_the_folder_are_shown(tmp_path: Path, name: str):
    (tmp_path / "secret.key").write_text("secret")
    (tmp_path / "mail").mkdir()
    assert stored_mail(tmp_path / "mail", name) is None


def test_a_line_break_cannot_add_a_header():
    message = Message(
        to="Ada\r\nBcc: eve@example.com <ada@example.com>", subject="Hi\r\nBcc: eve@example.com", text="x"
    )
    try:
        mime = compose(message, sender="Rapport <no-reply@rapport.example>", clock=FixedClock())
    except ValueError:
        return
    assert mime["Bcc"] is None


def test_what_is_no_address_is_refused():
    with pytest.raises(ValueError, match="no mail address"):
        compose(Message(to="nobody", subject="x", text="x"), sender="a@b.example", clock=FixedClock())


def test_the_address_of_a_server_is_read_from_the_url():
    assert Transport.from_url("smtp://me:p%40ss@mail.example") == Transport(
        "mail.example", 587, "me", "p@ss", False
    )
    assert Transport.from_url("smtps://mail.example").port == 465
    with pytest.raises(ValueError, match="mail_url"):
        Transport.from_url("http://mail.example")


class Server:
    """Just enough of RFC 5321 to receive one mail."""

    def __init__(self) -> None:
        self.received = b""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.received = await reader.readuntil(b"\r\n.\r\n")
            writer.write({b"EHLO": b"250 SMTPUTF8\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
            if verb == b"QUIT":
                break
        writer.close()


async def test_the_job_sends_by_smtp(tmp_path: Path):
    server = Server()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        settings = Settings(environment="test", data_dir=tmp_path, mail_url=f"smtp://127.0.0.1:{port}")
        kernel = SimpleNamespace(mailer=Mailer.from_settings(settings))
        await MAIL_SEND.run(SimpleNamespace(kernel=kernel), HELLO)
    received = email.message_from_bytes(server.received, policy=email.policy.default)
    assert (str(received["To"]), str(received["Subject"])) == ("王伟 <wei@example.com>", "你好 Ada")
    assert not (tmp_path / "mail").exists()
