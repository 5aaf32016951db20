"""The HTTP routes of the liability service."""

from typing import Any

from aiohttp import web

from contracts.policy import Policy
from services.kernel.http import lists
from services.kernel.http.commands import CommandDesk
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal
from services.kernel.service import Service
from services.liability.domain.file import LiabilityFile

CHARGES = lists.Listing(
    table="charge_view",
    order=("case_id", "party"),
    filters={
        "party": "(party || '/') LIKE ? || '/%'",
        "case_id": "case_id = ?",
        "order_id": "order_id = ?",
    },
)
LOSSES = lists.Listing(
    table="loss_view",
    order=("case_id",),
    filters={"case_id": "case_id = ?", "order_id": "order_id = ?"},
)


class LiabilityHttp:
    """Commands and reads of the liability service."""

    def __init__(self, service: Service[LiabilityFile], policy: Policy) -> None:
        self._service = service
        self._desk = CommandDesk(service, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return [
            *(web.post(f"/v1/cases/{{case_id}}/{name.replace('_', '-')}", self._command(name)) for name in self._service.part.domain.commands),
            web.get("/v1/charges", self._list(CHARGES)),
            web.get("/v1/losses", self._list(LOSSES)),
            web.get("/v1/cases/{case_id}/charges", self.read_charges),
        ]

    def _command(self, name: str) -> Any:
        async def take(request: web.Request) -> web.Response:
            case_id = request.match_info["case_id"]
            return await self._desk.take(request, order_of(case_id), case_id, name)

        return take

    def _list(self, listing: lists.Listing) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return await lists.answer(request, self._service, listing)

        return answer

    async def read_charges(self, request: web.Request) -> web.Response:
        """Who bears the loss of a case, entry by entry, as of this moment."""
        case_id = request.match_info["case_id"]
        async with self._service.files.reading(order_of(case_id)) as (file, version):
            case = file.cases.get(case_id)
            if case is None:
                raise Refusal("unknown_case", case_id=case_id)
            document = {
                "case_id": case_id,
                "net_fen": case.net_fen,
                "suspense_fen": case.suspense_fen,
                "shares": case.shares,
                "charges": [
                    {"party": party, "charged_fen": fen, "recovered_fen": case.recovered_fen(party)}
                    for party, fen in case.charged.items()
                ],
                "entries": case.entries,
            }
            return lists.json(document, ETag=f'"{version}"')
