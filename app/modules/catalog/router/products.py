"""What products are made of: bundles, variants and files; and whole price lists."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.kernel.errors import Conflict, DuplicateValue, StaleVersion, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, KernelDep, Router, Uow
from app.kernel.uploads import download
from app.modules.catalog.models import ProductAttachment
from app.modules.catalog.schemas.configuration import (
    BundleInput,
    BundleRead,
    ProductAttachmentInput,
    ProductAttachmentRead,
    ProductAttachments,
    VariantsAnswer,
)
from app.modules.catalog.schemas.prices import EntriesInput, EntriesSet
from app.modules.catalog.services.attachments import ProductFiles
from app.modules.catalog.services.bundles import BundleService
from app.modules.catalog.services.price_lists import PriceListService
from app.modules.catalog.services.variants import VariantService

router = Router(tags=["catalog"])
READ, UPDATE = "product:read", "product:update"
OF = "/v1/products/{id}"
AttachmentId = Annotated[UUID, Path(description="The `id` of the attachment.")]


@router.get(f"{OF}/bundle", access=READ)
async def get_product_bundle(id: UUID, uow: Uow, response: Response) -> BundleRead:
    """What a bundle is made of; no groups where the product is none."""
    found = await BundleService(uow).get(id)
    tag(response, found)
    return found


@router.put(f"{OF}/bundle", access=UPDATE, responses=problems(Conflict, StaleVersion))
async def set_product_bundle(
    id: UUID, body: BundleInput, version: IfMatch, uow: Uow, response: Response
) -> BundleRead:
    """Make a product a bundle of these groups, written whole; without groups it is none any more.

    The version is the product's.
    """
    done = await BundleService(uow).replace(id, body, expected_version=version)
    tag(response, done)
    return done


@router.post(f"{OF}/variants/generate", access="product:create", responses=problems(DuplicateValue))
async def generate_product_variants(id: UUID, uow: Uow) -> VariantsAnswer:
    """Make a variant for each combination of options that has none yet, with the parent's code and the values'."""
    return await VariantService(uow).generate(id)


@router.post("/v1/price-books/{id}/set-entries", access="price_book_entry:update")
async def set_price_book_entries(id: UUID, body: EntriesInput, uow: Uow) -> EntriesSet:
    """Set the prices of up to 1,000 products in a book, all or none; products go by id or by code."""
    return await PriceListService(uow).set(id, body)


# -- files -------------------------------------------------------------------------------------------------------


@router.get(f"{OF}/attachments", access=READ)
async def list_product_attachments(id: UUID, uow: Uow) -> ProductAttachments:
    """The files of a product."""
    return ProductAttachments(data=[_read(row) for row in await ProductFiles(uow).list(id)])


@router.post(f"{OF}/attachments", access=UPDATE, status_code=201, responses=problems(DuplicateValue))
async def attach_file_to_product(id: UUID, body: ProductAttachmentInput, uow: Uow) -> ProductAttachmentRead:
    """Put an uploaded file on a product; whoever may read the product may open it."""
    return _read(await ProductFiles(uow).add(id, body.file_id))


@router.delete(f"{OF}/attachments/{{attachment_id}}", access=UPDATE, status_code=204)
async def detach_file_from_product(id: UUID, attachment_id: AttachmentId, uow: Uow) -> None:
    """Take a file off a product; the file itself stays."""
    await ProductFiles(uow).remove(id, attachment_id)


@router.get(
    f"{OF}/attachments/{{attachment_id}}/content",
    access=READ,
    response_class=Response,
    responses={200: {"description": "The file.", "content": {"application/octet-stream": {}}}},
)
async def get_product_attachment_content(
    id: UUID, attachment_id: AttachmentId, uow: Uow, kernel: KernelDep
) -> Response:
    """The content of a file on a product, always as something to save."""
    return await download(kernel, await ProductFiles(uow).file(id, attachment_id))


def _read(row: ProductAttachment) -> ProductAttachmentRead:
    names = ProductAttachmentRead.model_fields
    return ProductAttachmentRead.model_validate({name: row.__dict__[name] for name in names})
