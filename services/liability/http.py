"""The HTTP routes of the liability service."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from contracts.events.liability import Share
from contracts.policy import Policy
from services.kernel.history import AsOf, the_end
from services.kernel.http import lists
from services.kernel.http.case_commands import case_command_route
from services.kernel.http.commands import CommandAnswer, CommandDesk, stream_of_case
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, Parameter, command, describe
from services.kernel.http.past import AS_OF, Explained, Seen, asked_point, read_explanation, read_file
from services.kernel.refusal import Refusal
from services.kernel.service import Service
from services.liability.balances import Balances, balances
from services.liability.domain.explanation import explain
from services.liability.domain.file import CaseLoss, LiabilityFile

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "assign_liability": {
        "shares": [{"party": "warehouse", "share_bp": 6000}, {"party": "courier/YTO", "share_bp": 4000}],
        "reason": "仓库与快递各有责任",
    },
    "record_recovery": {"party": "courier/YTO", "amount_fen": 3000, "payment_ref": "CLAIM-1"},
}


class ChargeRow(msgspec.Struct, frozen=True):
    """What a party bears of a case's loss, and what was collected from it."""

    case_id: str
    party: str
    order_id: str
    charged_fen: int
    recovered_fen: int


class LossRow(msgspec.Struct, frozen=True):
    """The net loss of a case, and what of it no party was charged."""

    case_id: str
    order_id: str
    net_fen: int
    suspense_fen: int


class PartyCharge(msgspec.Struct, frozen=True):
    """What a party bears, and what was collected from it."""

    party: str
    charged_fen: int
    recovered_fen: int


class LossEntry(msgspec.Struct, frozen=True):
    """A term of the net loss; `cause_id` is the event that it comes from."""

    entry: str
    amount_fen: int
    cause_id: str


class CaseCharges(msgspec.Struct, frozen=True):
    """Who bears the loss of a case, entry by entry: Σ charges + suspense = net.

    `as_of`: of when it is, null for now.
    """

    case_id: str
    net_fen: int
    suspense_fen: int
    shares: Sequence[Share]
    charges: Sequence[PartyCharge]
    entries: Sequence[LossEntry]
    as_of: AsOf | None = None


CHARGES = lists.Listing(
    table="charge_view",
    row=ChargeRow,
    order=("case_id", "party"),
    filters={
        "party": Filter("(party || '/') LIKE ? || '/%' ESCAPE '!'", pattern=True),
        "case_id": Filter("case_id = ?"),
        "order_id": Filter("order_id = ?"),
    },
)
LOSSES = lists.Listing(
    table="loss_view",
    row=LossRow,
    order=("case_id",),
    filters={"case_id": Filter("case_id = ?"), "order_id": Filter("order_id = ?")},
)


class LiabilityHttp:
    """Commands and reads of the liability service."""

    def __init__(self, service: Service[LiabilityFile], policy: Policy) -> None:
        self._service = service
        self._policy = policy
        self._desk = CommandDesk(service, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        commands = self._service.part.domain.commands
        return [
            *(case_command_route(name, self._command(name, spec)) for name, spec in commands.items()),
            web.get("/v1/charges", CHARGES.handler(self._service, "What parties bear, by case", "liability")),
            web.get("/v1/losses", LOSSES.handler(self._service, "Net losses by case", "liability")),
            web.get("/v1/cases/{case_id}/charges", self.read_charges),
            web.get("/v1/cases/{case_id}/charges/explanation", self.explain_charges),
            web.get("/v1/balances", self.read_balances),
        ]

    def _command(self, name: str, spec: Any) -> Any:
        operation = command(self._policy, name, spec, CommandAnswer, "liability", EXAMPLES[name])
        return describe(operation)(self._desk.case_command(name))

    @describe(
        Operation(
            summary="Who bears the loss of a case, now or as of a moment",
            tag="liability",
            answer=CaseCharges,
            refusals=(404, 422),
            query=(AS_OF,),
            etag=True,
        )
    )
    async def read_charges(self, request: web.Request) -> web.Response:
        """Who bears the loss of a case, entry by entry, as of now or of the moment that is asked for."""
        case_id = request.match_info["case_id"]

        def charges(seen: Seen[LiabilityFile]) -> CaseCharges | None:
            case = seen.file.cases.get(case_id)
            return None if case is None else _charges(case, seen.as_of)

        unknown = Refusal("unknown_case", case_id=case_id)
        read = await read_file(request, self._service, stream_of_case(case_id), charges, unknown)
        return lists.json(read.body, ETag=read.etag)

    @describe(
        Operation(
            summary="What each party was charged over all cases, now or as of a moment",
            description="Added up from the log, event by event: on a long one it takes its time.",
            tag="liability",
            answer=Balances,
            refusals=(422,),
            query=(AS_OF,),
        )
    )
    async def read_balances(self, request: web.Request) -> web.Response:
        """What each party was charged and what was collected from it, over all cases."""
        store = self._service.store
        point = await asked_point(request, self._service) or await the_end(store)
        return lists.json(await balances(store, point))

    @describe(
        Operation(
            summary="Where the loss of a case comes from, and why a party bears its part of it, down to the events, now"
            " or as of a moment",
            description="A tree: the amount of each node is the signed sum of those below it.",
            tag="liability",
            answer=Explained,
            refusals=(404, 422),
            query=(
                Parameter(
                    "party", lists.Word, "What this party bears (courier/YTO); the net loss where it is not said"
                ),
                AS_OF,
            ),
            etag=True,
        )
    )
    async def explain_charges(self, request: web.Request) -> web.Response:
        """Where the loss of a case comes from, or what one party bears of it."""
        case_id = request.match_info["case_id"]
        party = request.query.get("party", "")
        of_case = partial(explain, self._policy, case_id=case_id, party=party)
        read = await read_explanation(request, self._service, stream_of_case(case_id), of_case)
        return lists.json(read.body, ETag=read.etag)


def _charges(case: CaseLoss, as_of: AsOf | None) -> CaseCharges:
    return CaseCharges(
        case_id=case.case_id,
        net_fen=case.net_fen,
        suspense_fen=case.suspense_fen,
        shares=tuple(case.shares),
        charges=[PartyCharge(party, fen, case.recovered_fen(party)) for party, fen in case.charged.items()],
        entries=[LossEntry(one.entry, one.amount_fen, one.cause_id) for one in case.entries],
        as_of=as_of,
    )
