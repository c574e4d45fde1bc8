"""What the tests of the knowledge base share: articles, and the way to their readers."""

from __future__ import annotations

from typing import Any

from tests.modules.support import make
from tests.support.api import Client

Json = dict[str, Any]


async def step(client: Client, article: Json, action: str, **body: Any) -> Json:
    """Take a step at whatever version the article is."""
    version = (await client.ok("GET", f"/v1/articles/{article['id']}"))["version"]
    path = f"/v1/articles/{article['id']}/{action}"
    done: Json = await client.ok("POST", path, json=body or None, if_match=version)
    return done


async def draft(client: Client, title: str = "Reset your password", **fields: Any) -> Json:
    return await make(
        client, "articles", **{"title": title, "body": "Open Security and press Reset."} | fields
    )


async def published(client: Client, title: str = "Reset your password", **fields: Any) -> Json:
    made = await draft(client, title, **fields)
    await step(client, made, "submit")
    return await step(client, made, "publish")
