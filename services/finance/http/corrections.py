"""Corrections over HTTP: proposed by one person, approved or declined by another."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from contracts.events.finance import Leg
from contracts.policy import Policy
from services.finance.domain.books import Books
from services.finance.domain.corrections import COMMANDS, ProposeCorrection, State, check_claims, check_parties
from services.finance.http.actions import BooksAction, tried
from services.finance.http.commands import books_command
from services.finance.reading import reading_books
from services.finance.views import corrections as views
from services.kernel.actor import Actor
from services.kernel.decider import Context
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.commands import CommandAnswer, CommandDesk
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, command, describe
from services.kernel.intake import parse, wrong_fields
from services.kernel.refusal import Refusal
from services.kernel.service import Service

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "propose_correction": {
        "reason": "渠道多扣手续费,客服已核实",
        "legs": [
            {"account": "promotion", "amount_fen": 120},
            {"account": "channel", "party": "taobao", "amount_fen": -120, "item": "20261005220011"},
        ],
    },
    "approve_correction": {"correction": "K1"},
    "decline_correction": {"correction": "K1", "reason": "金额有误"},
}


#: What decides a correction that waits, with what is asked for besides its name.
_DECIDING: Final[Mapping[str, Mapping[str, str]]] = {"approve_correction": {}, "decline_correction": {"reason": "-"}}


class CorrectionRow(msgspec.Struct, frozen=True):
    """A correction: what it posts (a debit above zero, a credit below, in fen) once it is approved, and the
    discrepancies that it closes. `amount_fen` is the sum of its debits; `answer` why it was
    declined; `booked_on` the day of its postings, where it is not that of its approval."""

    correction: str
    state: State
    reason: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str
    decided_at: datetime | None
    answer: str
    booked_on: str
    amount_fen: int
    legs: Sequence[Leg]
    discrepancies: Sequence[str]


class CorrectionDocument(CorrectionRow, frozen=True):
    """A correction, and of one that waits (`next_actions`): whether whoever asks can approve or decline it."""

    next_actions: Sequence[BooksAction] = ()


def _presented(row: dict[str, Any]) -> dict[str, Any]:
    lists_of = {name: msgspec.json.decode(row[name]) for name in ("legs", "discrepancies")}
    return row | lists_of | {"decided_at": row["decided_at"] or None}


CORRECTIONS: Final = lists.Listing(
    table="correction_view",
    row=CorrectionRow,
    order=("proposed_at", "correction"),
    filters={
        "state": Filter("state = ?", Literal["proposed", "approved", "declined"]),
        "discrepancy": Filter("discrepancies LIKE '%\"' || ? || '\"%' ESCAPE '!'", pattern=True),
    },
    present=_presented,
)


class CorrectionsHttp:
    """Corrections of the books."""

    def __init__(self, service: Service[Any], policy: Policy) -> None:
        self._service = service
        self._policy = policy
        self._desk = CommandDesk(service, policy, self._prepare)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        return [
            web.post("/v1/corrections", self._command("propose_correction")),
            web.get("/v1/corrections", CORRECTIONS.handler(self._service, "Corrections, newest first", "finance")),
            web.get("/v1/corrections/{correction}", self.read_correction),
            web.post("/v1/corrections/{correction}/approve", self._command("approve_correction")),
            web.post("/v1/corrections/{correction}/decline", self._command("decline_correction")),
        ]

    def _command(self, name: str) -> Any:
        """The handler of a command; which correction it is about, its address says."""
        operation = command(self._policy, name, COMMANDS[name], CommandAnswer, "finance", EXAMPLES[name])
        return books_command(self._desk, name, operation)

    async def _prepare(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Parties are the policy's, cases those that finance has heard of; rules of the books know neither."""
        if name == "propose_correction":
            proposal: ProposeCorrection = parse(ProposeCorrection, body)
            errors = [*check_parties(self._policy, proposal.legs), *check_claims(self._policy, proposal.legs)]
            errors += [error async for error in self._unknown_cases(proposal)]
            if errors:
                raise wrong_fields(errors)
        return body

    async def _unknown_cases(self, proposal: ProposeCorrection) -> AsyncIterator[dict[str, str]]:
        named = [leg.case_id for leg in proposal.legs]
        cases = sorted({*named} - {""})
        places = ", ".join("?" * len(cases))
        sql = f"SELECT case_id FROM case_fact_view WHERE case_id IN ({places})"
        known = {row["case_id"] for row in await self._service.store.query(sql, cases)} if cases else set()
        for place, case_id in enumerate(named):
            if case_id and case_id not in known:
                zh, en = f"没有售后单“{case_id}”", f"there is no case “{case_id}”"
                yield {"field": f"legs[{place}].case_id", "rule": "unknown_case", "zh": zh, "en": en}

    @describe(
        Operation(
            summary="A correction, and what became of it",
            tag="finance",
            answer=CorrectionDocument,
            refusals=(404,),
            etag=True,
        )
    )
    async def read_correction(self, request: web.Request) -> web.Response:
        """One correction, as it is."""
        name = request.match_info["correction"]
        async with reading_books(self._service) as (books, version):
            found = views.rows(books, [name])["correction_view"]
            if not found:
                raise Refusal("unknown_correction", correction=name[:64])
            waits = books.corrections.all[name].state == "proposed"
            actions = [self._tried(one, books, name, actor_of(request)) for one in _DECIDING if waits]
        row = msgspec.convert(_presented(dict(found[0])), CorrectionDocument, strict=False)
        row = msgspec.structs.replace(row, next_actions=actions)
        return lists.json(row, ETag=f'"{version}"')

    def _tried(self, command: str, books: Books, name: str, who: Actor) -> BooksAction:
        """Whether somebody could decide a correction now."""
        body = {"correction": name, **_DECIDING[command]}
        return tried(self._service, self._policy, books, command, body, Context(self._service.clock.now(), who))
