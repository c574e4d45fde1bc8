"""Routes of operators: a credential of their own, and the company named by the path."""

from __future__ import annotations

from starlette.requests import Request

from app.kernel.access import Actor
from app.kernel.routing import path_id
from app.kernel.runtime import Kernel
from app.kernel.transactional import TransactionalRoute
from app.tenants.auth.control_route import ControlRoute
from app.tenants.operators.acts import INSTALLATION, company, operator_actor
from app.tenants.operators.keys import authenticate


class OperatorRoute(TransactionalRoute):
    """An act for the company `{id}`, in one transaction of that company."""

    async def admit(self, kernel: Kernel, request: Request) -> Actor:
        """The operator behind the key, then the company. Raises: Unauthenticated; NotFound."""
        operator = await authenticate(kernel, request.headers.get("authorization"))
        actor = operator_actor(operator, INSTALLATION)
        kernel.limiter.check(actor, request.scope)
        if "id" in request.path_params:
            actor = operator_actor(operator, await company(kernel, path_id(request)))
        request.scope["rapport.actor"] = actor
        return actor


class OperatorControlRoute(OperatorRoute, ControlRoute):
    """The same over all companies, or where sessions and identities are made, in a control transaction."""
