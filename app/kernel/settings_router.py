"""Settings that change what the API takes: custom fields and saved views. In development also `/dev/mail`."""

from __future__ import annotations

import html
import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Response
from fastapi.responses import HTMLResponse

from app.kernel import mail, saved_views
from app.kernel.custom_fields import definitions
from app.kernel.custom_fields.definitions import Definitions, TooManyCustomFields
from app.kernel.custom_fields.schemas import CustomFieldCreate, CustomFieldRead, CustomFieldUpdate
from app.kernel.errors import DuplicateValue, NotFound, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, KernelDep, Router, Uow
from app.kernel.saved_views import SavedViewCreate, SavedViewRead, SavedViews, SavedViewUpdate
from app.kernel.schemas import Page

Object = Annotated[str | None, Query(alias="object", max_length=60, description="Only of this record type.")]


fields = Router(prefix="/v1/custom-fields", tags=["custom fields"])
views = Router(prefix="/v1/saved-views", tags=["saved views"])
development = Router(prefix="/dev", tags=["development"])


def _field(row: Any, response: Response) -> CustomFieldRead:
    tag(response, row)
    return definitions.answer(row)


@fields.get("", access="signed_in")
async def list_custom_fields(
    uow: Uow,
    object_name: Object = None,
    include_archived: Annotated[bool, Query(description="Also those out of use.")] = False,
) -> Page[CustomFieldRead]:
    """The fields that this company added to its record types, in the order of their forms. One page holds all."""
    rows = await Definitions(uow).list(object_name, archived=include_archived)
    return Page[CustomFieldRead](
        data=[definitions.answer(row) for row in rows],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@fields.post(
    "",
    access="custom_field:manage",
    status_code=201,
    responses=problems(DuplicateValue, TooManyCustomFields),
)
async def create_custom_field(body: CustomFieldCreate, uow: Uow, response: Response) -> CustomFieldRead:
    """Add a field to a record type. It is in force at once here, and within seconds everywhere."""
    row = await Definitions(uow).create(body)
    response.headers["Location"] = f"/v1/custom-fields/{row.id}"
    return _field(row, response)


@fields.get("/{id}", access="signed_in")
async def get_custom_field(id: UUID, uow: Uow, response: Response) -> CustomFieldRead:
    """Read one definition."""
    return _field(await Definitions(uow).get(id), response)


@fields.patch("/{id}", access="custom_field:manage")
async def update_custom_field(
    id: UUID, body: CustomFieldUpdate, version: IfMatch, uow: Uow, response: Response
) -> CustomFieldRead:
    """Change a definition by merge patch. Stricter rules hold for what is written from now on."""
    return _field(await Definitions(uow).update(id, body, expected_version=version), response)


@fields.post("/{id}/archive", access="custom_field:manage")
async def archive_custom_field(id: UUID, version: IfMatch, uow: Uow, response: Response) -> CustomFieldRead:
    """Take a field out of use; records keep the values they have."""
    return _field(await Definitions(uow).archive(id, expected_version=version), response)


@fields.post(
    "/{id}/restore",
    access="custom_field:manage",
    responses=problems(TooManyCustomFields),
)
async def restore_custom_field(id: UUID, version: IfMatch, uow: Uow, response: Response) -> CustomFieldRead:
    """Bring an archived field back into use."""
    return _field(await Definitions(uow).restore(id, expected_version=version), response)


@fields.get("/{object}/schema", access="signed_in")
async def get_custom_field_schema(
    object_name: Annotated[str, Path(alias="object")], uow: Uow
) -> dict[str, Any]:
    """The custom fields of a record type as a JSON Schema of its `custom` object."""
    record = uow.kernel.registry.record(object_name)
    if record is None:
        raise NotFound
    rows = await Definitions(uow).list(record.object, archived=False)
    language = uow.actor.tenant.locale.partition("-")[0]
    return definitions.json_schema(record.object, rows, language)


def _view(row: Any, response: Response) -> SavedViewRead:
    tag(response, row)
    return saved_views.answer(row)


@views.get("", access="signed_in")
async def list_saved_views(uow: Uow, object_name: Object = None) -> Page[SavedViewRead]:
    """My views and those shared with me. One page holds all."""
    rows = await SavedViews(uow).list(object_name)
    return Page[SavedViewRead](
        data=[saved_views.answer(row) for row in rows],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@views.post("", access="signed_in", status_code=201, responses=problems(DuplicateValue))
async def create_saved_view(body: SavedViewCreate, uow: Uow, response: Response) -> SavedViewRead:
    """Save a list under a name; use it as `?view=<id>`."""
    row = await SavedViews(uow).create(body)
    response.headers["Location"] = f"/v1/saved-views/{row.id}"
    return _view(row, response)


@views.get("/{id}", access="signed_in")
async def get_saved_view(id: UUID, uow: Uow, response: Response) -> SavedViewRead:
    """Read one view."""
    return _view(await SavedViews(uow).get(id), response)


@views.patch("/{id}", access="signed_in", responses=problems(DuplicateValue))
async def update_saved_view(
    id: UUID, body: SavedViewUpdate, version: IfMatch, uow: Uow, response: Response
) -> SavedViewRead:
    """Change a view by merge patch: one's own, or any with `saved_view:manage`."""
    return _view(await SavedViews(uow).update(id, body, expected_version=version), response)


@views.delete("/{id}", access="signed_in", status_code=204)
async def delete_saved_view(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Remove a view: one's own, or any with `saved_view:manage`."""
    await SavedViews(uow).delete(id, expected_version=version)


# -- mail in development ---------------------------------------------------------------------------------------

_LINK = re.compile(r"https?://[^\s<>&]+(?:&amp;[^\s<>&]+)*")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td{{padding:.4rem;border-bottom:1px solid #ddd}}
pre{{white-space:pre-wrap;font:inherit}}iframe{{width:100%;height:24rem;border:1px solid #ddd}}</style>
<h1>{title}</h1>{body}</html>"""
# What strangers wrote into a mail may show links, and never run anything here.
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"}


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=html.escape(title), body=body), headers=_PAGE_HEADERS)


def _refuse_in_production(kernel: Any) -> None:
    if kernel.settings.in_production:
        raise NotFound("There is no such address.")


@development.get("/mail", access="public", response_class=HTMLResponse, include_in_schema=False)
async def list_dev_mail(kernel: KernelDep) -> HTMLResponse:
    """The mails written to the folder, newest first; in development only."""
    _refuse_in_production(kernel)
    rows = "".join(
        f'<tr><td>{found.at}<td>{html.escape(found.to)}<td><a href="/dev/mail/{found.name}">'
        f"{html.escape(found.subject)}</a>"
        for found in mail.stored_mails(kernel.mailer.folder)
    )
    return _page("Mail", f"<table>{rows}</table>" if rows else "<p>No mail yet.</p>")


@development.get("/mail/{name}", access="public", response_class=HTMLResponse, include_in_schema=False)
async def get_dev_mail(name: str, kernel: KernelDep) -> HTMLResponse:
    """One mail with its links; in development only."""
    _refuse_in_production(kernel)
    found = mail.stored_mail(kernel.mailer.folder, name)
    if found is None:
        raise NotFound
    text = _LINK.sub(lambda m: f'<a href="{m[0]}">{m[0]}</a>', html.escape(found.text))
    shown = f'<p><a href="/dev/mail">All mail</a></p><p>To: {html.escape(found.to)}<br>{found.at}</p>'
    shown += f"<pre>{text}</pre>"
    if found.html is not None:
        shown += f'<h2>HTML</h2><iframe sandbox="allow-popups" srcdoc="{html.escape(found.html)}"></iframe>'
    return _page(found.subject, shown)
