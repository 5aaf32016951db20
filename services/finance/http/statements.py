"""The HTTP routes of statements and indicators."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.finance.domain.domain import AnyFile
from services.finance.http.ledger import MONTH, asked_month, position_of
from services.finance.statements.deposits import Deposits, deposits
from services.finance.statements.indicators import DefectRules, Indicators, indicators
from services.finance.statements.party import Parties, PartyStatement, parties, party_statement
from services.finance.statements.refunds import GROUPINGS, By, Refunds, refunds
from services.finance.statements.scope import AsAt, Scope, scope_of
from services.finance.statements.suspense import Suspense, suspense
from services.kernel.event_store import Reads
from services.kernel.http import lists
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

TAG: Final = "statements"

BY: Final = Parameter("by", By, "What refunds are grouped by; problem where it is not said")


class Whole(NamedTuple):
    """A parameter that is a whole number."""

    name: str
    lowest: int
    highest: int
    default: int
    means: str

    @property
    def parameter(self) -> Parameter:
        """How it is described."""
        type_ = Annotated[int, msgspec.Meta(ge=self.lowest, le=self.highest)]
        return Parameter(self.name, type_, f"{self.means}; {self.default} where it is not said")

    def asked(self, request: web.Request) -> int:
        """What a request asks for; raises `Refusal` `invalid`."""
        text = request.query.get(self.name, str(self.default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and self.lowest <= int(text) <= self.highest):
            zh = f"须为 {self.lowest} 到 {self.highest} 的整数"
            raise invalid(self.name, "range", zh, f"must be a whole number from {self.lowest} to {self.highest}")
        return int(text)


_RULES: Final = DefectRules()
CASES: Final = Whole(
    "defect_cases", 1, 1_000_000, _RULES.cases, "Batch defects: at least so many cases of one article and cause"
)
DAYS: Final = Whole(
    "defect_days", 1, 3_660, _RULES.days, "Batch defects: within so many days up to the end of the month, or today"
)
SHARE: Final = Whole(
    "defect_share_bp",
    0,
    1_000_000,
    _RULES.share_bp,
    "Batch defects: at least so many of 10 000 orders with the article",
)


def _statement(summary: str, answer: type, description: str, *more: Parameter) -> Operation:
    return Operation(
        summary=summary, tag=TAG, answer=answer, description=description, query=(MONTH, *more), refusals=(422,)
    )


class StatementsHttp:
    """Statements of the stored books; nothing is changed here."""

    def __init__(self, service: Service[AnyFile], policy: Policy) -> None:
        self._service = service
        self._policy = policy

    def routes(self) -> list[web.RouteDef]:
        """Every statement, and the indicators."""
        return [
            web.get("/v1/statements/parties", self.read_parties),
            web.get("/v1/statements/parties/{party}", self.read_party),
            web.get("/v1/statements/parties/{party}/{name}", self.read_party),
            web.get("/v1/statements/deposits", self.read_deposits),
            web.get("/v1/statements/suspense", self.read_suspense),
            web.get("/v1/statements/refunds", self.read_refunds),
            web.get("/v1/indicators", self.read_indicators),
        ]

    @describe(
        _statement(
            "What every party was charged, and what is open of it, by age",
            Parties,
            "Of a month, closed or open, or of all time.",
        )
    )
    async def read_parties(self, request: web.Request) -> web.Response:
        """Every party's figures."""
        return await self._answer(request, parties)

    @describe(
        _statement(
            "What a party was charged, reversed, credited and recovered, down to case and event",
            PartyStatement,
            "A party is written `production`, or with its name `courier/YTO`.",
        )
    )
    async def read_party(self, request: web.Request) -> web.Response:
        """One party's statement."""
        party = self._party(request.match_info["party"], request.match_info.get("name", ""))

        async def of_party(reads: Reads, scope: Scope) -> PartyStatement:
            return await party_statement(reads, scope, party)

        return await self._answer(request, of_party)

    @describe(
        _statement(
            "Deposits that are held, and what came in and went out of them",
            Deposits,
            "Of a month, those that moved in it too.",
        )
    )
    async def read_deposits(self, request: web.Request) -> web.Response:
        """Deposits one by one."""
        return await self._answer(request, deposits)

    @describe(
        _statement(
            "Losses that nobody bears yet, case by case, with their age",
            Suspense,
            "Of a month, cases in which suspense moved too.",
        )
    )
    async def read_suspense(self, request: web.Request) -> web.Response:
        """Cases with suspense."""
        return await self._answer(request, suspense)

    @describe(
        _statement(
            "What was refunded, by problem, cause, article or channel",
            Refunds,
            "Of refunds that were settled. Problem and cause are as they are known now.",
            BY,
        )
    )
    async def read_refunds(self, request: web.Request) -> web.Response:
        """Refunds, grouped."""
        by = request.query.get("by", GROUPINGS[0])
        if by not in GROUPINGS:
            names = ", ".join(GROUPINGS)
            raise invalid("by", "one_of", f"只能是:{names}", f"must be one of: {names}")

        async def grouped(reads: Reads, scope: Scope) -> Refunds:
            return await refunds(reads, scope, by)

        return await self._answer(request, grouped, "by")

    @describe(
        _statement(
            "The indicators that leads watch, and alarms of batch defects",
            Indicators,
            "Money is of the month as the ledger has it; cases and orders are those that were opened or placed in it.",
            CASES.parameter,
            DAYS.parameter,
            SHARE.parameter,
        )
    )
    async def read_indicators(self, request: web.Request) -> web.Response:
        """Rates, times, ratings, agents, carriers, and articles that pile up."""
        rules = DefectRules(CASES.asked(request), DAYS.asked(request), SHARE.asked(request))

        async def of_month(reads: Reads, scope: Scope) -> Indicators:
            return await indicators(reads, scope, rules)

        return await self._answer(request, of_month, CASES.name, DAYS.name, SHARE.name)

    def _party(self, code: str, name: str) -> str:
        """A party as it is written; raises `Refusal` for one that the policy does not know, or that lacks its name."""
        known = self._policy.parties.get(code)
        if known is None or (name and not known.named):
            codes = ", ".join(f"{one}/…" if party.named else one for one, party in self._policy.parties.items())
            zh, en = f"没有这个责任方;可用:{codes}", f"there is no such party; there are: {codes}"
            raise invalid("party", "unknown_party", zh, en)
        if known.named and not name:
            raise Refusal("party_name_required", party=code)
        return f"{code}/{name}" if name else code

    async def _answer(
        self, request: web.Request, make: Callable[[Reads, Scope], Awaitable[Any]], *more: str
    ) -> web.Response:
        """What is made of the books as they stand at one moment. `more`: parameters besides the month."""
        list(lists.parameters(request, ("month", *more)))  # refuses what it does not know
        async with self._service.store.snapshot() as reads:
            as_at = AsAt(await position_of(reads, self._service), self._service.clock.now())
            scope = await scope_of(reads, asked_month(request), as_at)
            return lists.json(await make(reads, scope))
