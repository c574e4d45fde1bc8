"""Files on products: whoever may read a product may open them."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.imports.models import StoredUpload
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file
from app.modules.catalog.models import ProductAttachment
from app.modules.catalog.services.products import ProductService

MAX_ATTACHMENTS = 50


class ProductFiles:
    """The files of the products that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._products = ProductService(uow)

    async def list(self, product_id: UUID) -> list[ProductAttachment]:
        """The files of a visible product, in the order they were added. Raises `NotFound`."""
        await self._products.get(product_id)
        statement = self._uow.select(ProductAttachment).where(ProductAttachment.product_id == product_id)
        return await self._uow.all(statement.order_by(ProductAttachment.id))

    async def add(self, product_id: UUID, file_id: UUID) -> ProductAttachment:
        """Put a file that one may open on a product. Raises `NotFound`, `Invalid`, `DuplicateValue`."""
        await self._products.get(product_id, action="update", lock="update")
        try:
            file = await visible_file(self._uow, file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may open.") from None
        if len(await self.list(product_id)) >= MAX_ATTACHMENTS:
            raise Invalid.at("/file_id", "too_many", f"A product has at most {MAX_ATTACHMENTS} files.")
        made = await self._uow.insert(
            ProductAttachment,
            product_id=product_id,
            file_id=file.id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            created_by=self._uow.actor.member_id,
        )
        self._uow.record_audit("product", product_id, "attachment_added", {"attachments": [None, file.name]})
        return made

    async def remove(self, product_id: UUID, id: UUID) -> None:
        """Take a file off a product; the file itself stays. Raises `NotFound`."""
        await self._products.get(product_id, action="update", lock="update")
        found = await self._one(product_id, id)
        await self._uow.delete(found)
        self._uow.record_audit(
            "product", product_id, "attachment_removed", {"attachments": [found.name, None]}
        )

    async def file(self, product_id: UUID, id: UUID) -> StoredUpload:
        """The file behind an attachment of a visible product. Raises `NotFound`."""
        await self._products.get(product_id)
        return await self._uow.get(StoredUpload, (await self._one(product_id, id)).file_id)

    async def _one(self, product_id: UUID, id: UUID) -> ProductAttachment:
        found = await self._uow.find(ProductAttachment, id)
        if found is None or found.product_id != product_id:
            raise NotFound
        return found
