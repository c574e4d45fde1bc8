"""Mail that comes in: a message as a gateway hands it on (RFC 5322), reduced to what matters of it.

What machines send is told apart (RFC 3834): answering it makes loops. Strangers write these mails, so every step here
is linear in their size. The parser of the standard library is not: it recurses with each level, and its structured
headers take quadratic time.
"""

from __future__ import annotations

import binascii
import hashlib
import html
import mimetypes
import quopri
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Final
from urllib.parse import unquote_to_bytes

from app.kernel.charsets import codec_of
from app.kernel.contact import EmailInvalid, clean_email
from app.kernel.errors import Invalid

SIZE_LIMIT: Final = 1024 * 1024
SIZE_LIMIT_WITH_FILES: Final = 20 * SIZE_LIMIT
"""Of mails whose files are wanted."""
MOST_FILES: Final = 10
_MAX_NOTE: Final = 20_000
_MAX_TEXT: Final = 256 * 1024
_MAX_HEADERS: Final = 200
_MAX_HEADER: Final = 2048
_MAX_TYPE: Final = 512
_MAX_PARTS: Final = 50
_MAX_DEPTH: Final = 10
_MAX_GROUPS: Final = 20
_MAX_REFERENCES: Final = 16_384
_MOST_ANSWERED: Final = 50
_MOST_RECIPIENTS: Final = 100
_READ: Final = frozenset({"from", "reply-to", "subject", "content-type", "content-disposition"})
_SENT_TO: Final = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
_LOOKED_AT: Final = _READ | {
    "auto-submitted", "content-id", "content-transfer-encoding", "in-reply-to", "list-id", "message-id", "precedence",
    "references", "return-path", "x-autorespond", "x-autoreply", *_SENT_TO,
}  # fmt: skip
_MACHINES: Final = frozenset(
    {"mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply"}
)
_BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{3,250}>")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_HEADER: Final = re.compile(rb"([!-9;-~]*):")
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
_ENCODED: Final = re.compile(r"=\?([^?\s]{1,60})\?([bq])\?(.*?)\?=", re.IGNORECASE)
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_TAG: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)|<[/!?]", re.IGNORECASE)
_TAG_END: Final = re.compile(r"""=\s*(["'])|>""")
_ENDS: Final = {
    name: re.compile(rf"</{name}(?![a-z0-9])", re.IGNORECASE) for name in ("script", "style", "title")
}
_BLOCKS: Final = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "blockquote"})
_VAST_ENTITY: Final = re.compile(r"&#(?:[0-9]{8,}|x[0-9a-f]{8,});?", re.IGNORECASE)
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file that came with a mail; its name is the sender's, and may be anything."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """What matters of a mail. `answers` are the ids of those that it follows, the nearest first.

    `files` are at most `MOST_FILES` that hold something; `more_files` were beyond that.
    """

    address: str
    name: str
    subject: str
    text: str
    fingerprint: bytes
    machine: str | None
    message_id: str | None
    answers: tuple[str, ...]
    recipients: tuple[str, ...]
    files: tuple[MailFile, ...] = ()
    more_files: int = 0


def read_mail(raw: bytes, *, files: bool = False) -> Mail:
    """The sender, subject and text of a mail, and its `files` if they are wanted. Raises `Invalid`."""
    # Each kind of line end counts as one, as in the parser of the standard library.
    headers, body = _headers(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    for name in sorted(_READ & headers.keys()):
        if len(headers[name]) > _MAX_HEADER:
            raise _refusal(f"The header {name} is longer than {_MAX_HEADER} characters.")
    sender = _sender(headers)
    subject = _tidy(_words(headers.get("subject", "")))[:200].strip() or "(no subject)"
    text, parts = _read(headers, body)
    machine = _machine(headers, sender[0] if sender else "")
    if sender is None and machine is None:
        raise Invalid.at("/from", "invalid_email", "The mail has no sender that one could answer.")
    address, name = sender or ("", "")
    message_id = headers.get("message-id", "").strip()
    identity = message_id.encode() if message_id else raw
    return Mail(
        address=address,
        name=name or address,
        subject=subject,
        text=text,
        fingerprint=hashlib.sha256(identity).digest(),
        machine=machine,
        message_id=next(iter(_ids(message_id)), None),
        answers=_answers(headers),
        recipients=_recipients(headers),
        files=_files(parts) if files else (),
        more_files=max(0, len(parts) - MOST_FILES) if files else 0,
    )


def _ids(text: str) -> list[str]:
    """Message identifiers (RFC 5322, 3.6.4), as they are written."""
    return _MESSAGE_ID.findall(text[:_MAX_REFERENCES])


def _answers(headers: Mapping[str, str]) -> tuple[str, ...]:
    nearest_first = _ids(headers.get("in-reply-to", "")) + _ids(headers.get("references", ""))[::-1]
    return tuple(dict.fromkeys(nearest_first))[:_MOST_ANSWERED]


def _recipients(headers: Mapping[str, str]) -> tuple[str, ...]:
    """To whom it was sent, in lower case; those that are no addresses are left out."""
    found: dict[str, None] = {}
    for name in _SENT_TO:
        for address in _ADDRESS.findall(headers.get(name, "")[:_MAX_REFERENCES]):
            found.setdefault(address.lower())
    return tuple(found)[:_MOST_RECIPIENTS]


def _refusal(detail: str) -> Invalid:
    return Invalid.at("", "invalid_mail", f"This is not read as a mail (RFC 5322). {detail}")


def _headers(raw: bytes) -> tuple[dict[str, str], bytes]:
    """The first header of each name that is looked at, unfolded and still encoded, and what comes after."""
    found: dict[str, list[bytes]] = {}
    pieces: list[bytes] = []
    at = count = 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        match = _HEADER.match(raw, at, end)
        if match is not None:
            count += 1
            if count > _MAX_HEADERS:
                raise _refusal(f"It has more than {_MAX_HEADERS} headers.")
            pieces = [raw[match.end() : end]]
            name = match[1].decode("ascii").lower()
            if name in _LOOKED_AT:
                found.setdefault(name, pieces)
        elif raw[at : at + 1] in (b" ", b"\t"):
            pieces.append(raw[at:end])
        elif raw[at : at + 5] != b"From ":
            at = end + 1 if end == at else at  # a blank line ends the headers, any other belongs to the text
            break
        at = end + 1
    headers = {name: b"".join(pieces).decode("utf-8", "replace").strip() for name, pieces in found.items()}
    return headers, raw[at:]


def _sender(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Who can be answered: `Reply-To` (forms of websites send so), else `From`. Address and name."""
    for header in ("reply-to", "from"):
        text = _without_comments(headers.get(header, ""))
        if text.count(":") > _MAX_GROUPS:  # the parser recurses with each
            continue
        for name, address in getaddresses([text]):
            try:
                return clean_email(address), _tidy(_words(name))[:200].strip()
            except EmailInvalid:
                continue
    return None


def _without_comments(text: str) -> str:
    """Addresses without their `(comments)`, which may nest without end."""
    kept: list[str] = []
    depth = 0
    quoted = escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"' and not depth:
            quoted = not quoted
        elif char == "(" and not quoted:
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            kept.append("" if depth else " ")
            continue
        if not depth:
            kept.append(char)
    return "".join(kept)


def _words(text: str) -> str:
    """A text with its encoded words (RFC 2047) read; those that follow each other may share a character."""
    kept: list[str] = []
    codec, pending, at = "", b"", 0
    for match in _ENCODED.finditer(text):
        between = text[at : match.start()]
        found = codec_of(match[1].partition("*")[0]) or "utf-8"
        if pending and (between.strip() or found != codec):
            kept.append(pending.decode(codec, "replace"))
            pending = b""
        if between.strip() or not at:
            kept.append(between)
        coded = match[3].encode()
        codec, at = found, match.end()
        pending += _base64(coded) if match[2] in "bB" else quopri.decodestring(coded, header=True)
    kept.append(pending.decode(codec or "utf-8", "replace"))
    return "".join(kept) + text[at:]


def _base64(text: bytes) -> bytes:
    """What can be read of it: other characters are passed over, and an end that is missing is made up."""
    text = _NO_BASE64.sub(b"", text)
    whole = len(text) - (len(text) % 4 == 1)
    return binascii.a2b_base64(text[:whole] + b"=" * (-whole % 4))


def _machine(headers: Mapping[str, str], address: str) -> str | None:
    """By what a mail shows that no person wrote it, or None."""
    if (headers.get("auto-submitted") or "no").partition(";")[0].strip().lower() != "no":
        return "auto_submitted"
    if headers.get("precedence", "").lower() in _BULK or "list-id" in headers:
        return "bulk"
    if headers.get("return-path") == "<>" or _type(headers)[0] == "multipart/report":
        return "bounce"
    if "x-autoreply" in headers or "x-autorespond" in headers:
        return "auto_submitted"
    return "no_reply" if address.partition("@")[0].lower() in _MACHINES else None


def _type(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The media type of a part and its parameters."""
    text = headers.get("content-type", "")[:_MAX_TYPE]
    kind = "".join(text.partition(";")[0].split()[:1]).lower()
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        plain = _plain(value)
        if name.endswith("*"):  # RFC 2231: charset'language'value
            plain = plain.rpartition("'")[2]
        parameters.setdefault(name.rstrip("*").lower(), plain)
    return kind if kind.count("/") == 1 else "text/plain", parameters


_Part = tuple[Mapping[str, str], bytes]


def _read(headers: Mapping[str, str], body: bytes) -> tuple[str, list[_Part]]:
    """The plain text, else the text of the HTML part, at most 20,000 characters; and the parts that are files."""
    texts: dict[str, _Part] = {}
    files: list[_Part] = []
    # Parts that are still to be looked at, the next one last: headers, body, depth, and whether it is read.
    stack = [(headers, body, 1, True)]
    seen = 0
    while stack:
        headers, body, depth, read = stack.pop()
        seen += 1
        if depth > _MAX_DEPTH or seen > _MAX_PARTS:
            raise _refusal(
                f"It has more than {_MAX_PARTS} parts, or parts {_MAX_DEPTH} levels within others."
            )
        kind, parameters = _type(headers)
        if headers.get("content-disposition", "").partition(";")[0].strip().lower() == "attachment":
            files += [(headers, body)] if read else []
        elif kind in ("text/plain", "text/html") and read and kind not in texts:
            texts[kind] = (headers, body)
        elif kind == "message/rfc822":  # what someone else wrote
            files += [(headers, body)] if read else []
            stack.append((*_headers(body), depth + 1, False))
        elif kind.startswith("multipart/") and parameters.get("boundary"):
            parts = [_headers(part) for part in _parts(body, parameters["boundary"].rstrip())]
            if kind == "multipart/related" and parts:
                start = parameters.get("start")
                root = next((part for part in parts if start == part[0].get("content-id", "")), parts[0])
                files += [part for part in parts if part is not root] if read else []  # pictures in the text
                parts = [root]
            stack.extend((*part, depth + 1, read) for part in reversed(parts))
        elif read and not kind.startswith(("multipart/", "text/")):
            files.append((headers, body))
    if not texts:
        return "", files
    is_html = "text/plain" not in texts
    text = _content(*texts["text/html" if is_html else "text/plain"])
    return _UNFIT.sub("", _text_of_html(text) if is_html else text).strip()[:_MAX_NOTE], files


def _parts(body: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the boundaries (RFC 2046, 5.1.1); the last part may lack its end."""
    line = re.compile(rb"^--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?:\n|\Z)", re.MULTILINE)
    start, seen = -1, 0
    for match in line.finditer(body):
        if 0 <= start < match.start():
            seen += 1
            if seen > _MAX_PARTS:
                raise _refusal(f"It has more than {_MAX_PARTS} parts.")
            yield body[start : match.start() - 1]
        start = match.end()
        if match[1]:
            return
    if 0 <= start < len(body):
        yield body[start:]


def _files(parts: Sequence[_Part]) -> tuple[MailFile, ...]:
    """The first of them; what holds nothing is none."""
    found = [
        MailFile(_file_name(headers, at), _decoded(headers, body))
        for at, (headers, body) in enumerate(parts[:MOST_FILES], start=1)
    ]
    return tuple(file for file in found if file.content)


def _file_name(headers: Mapping[str, str], number: int) -> str:
    """As the sender calls it (RFC 2183, 2.3; RFC 2231; and RFC 2047, which many use); else a number and its type."""
    for header, wanted in (("content-disposition", "filename"), ("content-type", "name")):
        pieces: dict[tuple[bool, int], str] = {}
        for key, value in _PARAMETER.findall(headers.get(header, "")[:_MAX_HEADER]):
            base, *marks = key.lower().split("*")
            if base == wanted:
                place = int(marks[0]) if marks and re.fullmatch("[0-9]{1,2}", marks[0]) else 0
                pieces.setdefault((not marks, place), f"{'*' if key.endswith('*') else '='}{value}")
        extended = [pieces[place] for place in sorted(pieces) if not place[0]]
        name = _joined(extended) if extended else _words("".join(_plain(one[1:]) for one in pieces.values()))
        if _tidy(name):
            return _tidy(name)
    return f"attachment-{number}{mimetypes.guess_extension(_type(headers)[0]) or ''}"


def _joined(pieces: Sequence[str]) -> str:
    """Pieces of a value (RFC 2231, 3 and 4): those with a star are percent-encoded, the first says in what."""
    charset, raw = "utf-8", b""
    for at, piece in enumerate(pieces):
        value = _plain(piece[1:])
        if piece[0] == "*" and not at and value.count("'") >= 2:
            charset, _, value = value.partition("'")
            value = value.partition("'")[2]
        raw += unquote_to_bytes(value) if piece[0] == "*" else value.encode("utf-8", "replace")
    return raw.decode(codec_of(charset) or "utf-8", "replace")


def _plain(value: str) -> str:
    """A value without its quotation marks."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' and len(value) > 1 else value


def _decoded(headers: Mapping[str, str], body: bytes) -> bytes:
    coding = headers.get("content-transfer-encoding", "").lower()
    if coding == "base64":
        return _base64(body)
    return quopri.decodestring(body) if coding == "quoted-printable" else body


def _content(headers: Mapping[str, str], body: bytes) -> str:
    body = _decoded(headers, body)
    codec = codec_of(_type(headers)[1].get("charset", "")) or "utf-8"
    return body[:_MAX_TEXT].decode(codec, "replace").replace("\r\n", "\n")


def _tidy(text: str) -> str:
    return " ".join(_UNFIT.sub(" ", text).split())


def _text_of_html(text: str) -> str:
    """What is read of it, with a line per block."""
    text = html.unescape(_VAST_ENTITY.sub("\ufffd", "".join(_without_tags(text))))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _without_tags(text: str) -> Iterator[str]:
    """In one pass: what opens and never closes is looked for once."""
    at, in_head, quotes = 0, False, True
    while (match := _TAG.search(text, at)) is not None:
        if not in_head:
            yield text[at : match.start()]
        if text.startswith("<!--", match.start()):
            end = text.find("-->", match.end())
            at = len(text) if end < 0 else end + 3
            continue
        end = _tag_end(text, match.end(), quotes=quotes)
        if (
            end < 0 and quotes
        ):  # a quotation mark is missing somewhere: from here on, the first `>` ends a tag
            quotes = False
            end = _tag_end(text, match.end(), quotes=False)
        if end < 0:
            at = match.start()
            break
        at = end
        name = (match[2] or "").lower()
        if name in ("head", "body"):
            in_head = name == "head" and not match[1]
        elif match[1]:
            continue
        elif name in _BLOCKS:
            yield "\n"
        elif name in _ENDS:
            closing = _ENDS[name].search(text, at)
            at = len(text) if closing is None else closing.start()
    if not in_head:
        yield text[at:]


def _tag_end(text: str, at: int, *, quotes: bool) -> int:
    """Where the tag that began before is over, or -1. A `>` within the quotation marks of a value is none."""
    if not quotes:
        return text.find(">", at) + 1 or -1
    while (match := _TAG_END.search(text, at)) is not None:
        if match[1] is None:
            return match.end()
        at = text.find(match[1], match.end()) + 1
        if not at:
            return -1
    return -1
