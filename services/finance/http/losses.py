"""The HTTP routes of what after-sales cost and who owes of it: by group and month, down to cases, and recoveries."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.finance.domain.domain import AnyFile
from services.finance.http.ledger import MONTH, Month, asked_month, position_of
from services.finance.http.statements import TAG
from services.finance.ledger.accounts import external_parties
from services.finance.ledger.trial import is_month
from services.finance.statements.losses import (
    FILTERS,
    GROUPINGS,
    GROUPS_TOLD,
    PATTERNS,
    Asked,
    By,
    LossCases,
    Losses,
    Place,
    loss_cases,
    losses,
)
from services.finance.statements.months import MOST, USUAL, months_before, months_of
from services.finance.statements.recoveries import Recoveries, recoveries
from services.finance.statements.scope import AsAt, scope_of
from services.kernel.event_store import Reads
from services.kernel.http import lists
from services.kernel.http.lists import Limit, Word
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import invalid
from services.kernel.service import Service
from services.kernel.shop_time import shop_month

_LONGEST: Final = 200
_SPAN: Final = (
    Parameter("first_month", Month, f"The first month; {USUAL} months up to the last where it is not said"),
    Parameter("last_month", Month, f"The last month; this one where it is not said. At most {MOST} months"),
)
_BY: Final = Parameter("by", By, "What losses are grouped by; party where it is not said")
_FILTERS: Final[Mapping[str, Parameter]] = {
    "party": Parameter("party", Word, "A party (`courier/YTO`), or all of a kind (`courier`)"),
    "problem": Parameter("problem", Word, "Cases of this problem, as it is known now"),
    "sku": Parameter("sku", Word, "Cases that are about this article, be it with others"),
    "carrier": Parameter("carrier", Word, "Orders that this carrier took"),
    "cause": Parameter("cause", Word, "Cases with this cause, as it is known now"),
    "channel": Parameter("channel", Word, "Orders of this channel"),
}
#: More groups than any shop has: so that a file of them has all.
_GROUPS_MOST: Final = 1_000_000
_GROUPS: Final = Parameter(
    "limit",
    Annotated[int, msgspec.Meta(ge=1, le=_GROUPS_MOST)],
    f"Groups that are told one by one; {GROUPS_TOLD} where it is not said",
)
_GROUP: Final = Parameter("group", str, "Needed: the `key` of a row of the losses, which may be empty")
_PAGING: Final = (
    Parameter("limit", Limit, f"Cases of a page; {lists.DEFAULT_ROWS} where it is not said"),
    Parameter("after", str, "The `after` of the page before"),
)
_WAIT: Final = Parameter(
    "wait", Literal["true", "false"], "true: everything that was committed before the request counts"
)


class LossesHttp:
    """Losses by group and month, and recoveries; nothing is changed here."""

    def __init__(self, service: Service[AnyFile], policy: Policy) -> None:
        self._service = service
        self._external = external_parties(policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        return [
            web.get("/v1/statements/losses", self.read_losses),
            web.get("/v1/statements/losses/cases", self.read_cases),
            web.get("/v1/statements/recoveries", self.read_recoveries),
        ]

    @describe(
        Operation(
            summary="What after-sales cost, by party, problem, article, carrier, cause, channel or month, with trends",
            description="Of the months of the books: what comes too late for a closed month is in the first open one."
            " Without filters, the total is what statements of parties and of suspense say moved in these months.",
            tag=TAG,
            answer=Losses,
            query=(_BY, *_SPAN, *_FILTERS.values(), _GROUPS, _WAIT),
            refusals=(422,),
        )
    )
    async def read_losses(self, request: web.Request) -> web.Response:
        """Rows and trends of one grouping."""
        given = await self._given(request, "by", *_names_of_span(), *_FILTERS, "limit")
        asked, most = _asked(given), lists.whole_number(given, "limit", 1, _GROUPS_MOST, GROUPS_TOLD)
        async with self._service.store.snapshot() as reads:
            as_at = await self._as_at(reads)
            months = await months_of(reads, *_span(given, as_at), as_at)
            return lists.json(await losses(reads, months, as_at, asked, most))

    @describe(
        Operation(
            summary="The cases behind a row of the losses, the largest loss first",
            description="Asked for with the same `by`, months and filters, and the row's `key` as `group`. What was"
            " posted for a case: `/v1/ledger/postings?case_id=`; its events: `/v1/cases/{case_id}`.",
            tag=TAG,
            answer=LossCases,
            query=(_BY, _GROUP, *_SPAN, *_FILTERS.values(), *_PAGING, _WAIT),
            refusals=(422,),
        )
    )
    async def read_cases(self, request: web.Request) -> web.Response:
        """One page of cases."""
        given = await self._given(request, "by", "group", *_names_of_span(), *_FILTERS, "limit", "after")
        asked, limit, after = _asked(given), lists.limit_of(given), _place(given)
        group = _group(given, asked.by)
        async with self._service.store.snapshot() as reads:
            as_at = await self._as_at(reads)
            months = await months_of(reads, *_span(given, as_at), as_at)
            if asked.by == "month" and group not in months.months:
                raise invalid("group", "in_span", "不在所问的月份之内", "is not one of the months that are asked for")
            return lists.json(await loss_cases(reads, months, as_at, asked, group, limit, after))

    @describe(
        Operation(
            summary="What parties outside the business owe, and how old that is",
            description="Couriers, suppliers and installers as the policy has them. Down to the cases of one of them:"
            " `/v1/statements/parties/{party}`.",
            tag=TAG,
            answer=Recoveries,
            query=(MONTH, _WAIT),
            refusals=(422,),
        )
    )
    async def read_recoveries(self, request: web.Request) -> web.Response:
        """What can be claimed, of a month or of all time."""
        await self._given(request, "month")
        async with self._service.store.snapshot() as reads:
            scope = await scope_of(reads, asked_month(request), await self._as_at(reads))
            return lists.json(await recoveries(reads, scope, self._external))

    async def _given(self, request: web.Request, *names: str) -> Mapping[str, str]:
        """What a request asks for; raises `Refusal` for what nobody knows. Waits for the books where it asks so."""
        given = dict(lists.parameters(request, [*names, _WAIT.name]))
        lists.check_wait(given)
        if given.get(_WAIT.name) == "true":
            await lists.caught_up(self._service)
        return given

    async def _as_at(self, reads: Reads) -> AsAt:
        return AsAt(await position_of(reads, self._service), self._service.clock.now())


def _names_of_span() -> list[str]:
    return [parameter.name for parameter in _SPAN]


def _span(given: Mapping[str, str], as_at: AsAt) -> tuple[str, str]:
    """The first month and the last; raises `Refusal` `invalid` for what is none."""
    for name in _names_of_span():
        if name in given and not is_month(given[name]):
            raise invalid(name, "month", "须为月份,如 2026-10", "must be a month, such as 2026-10")
    last = given.get("last_month", shop_month(as_at.time))
    return given.get("first_month", months_before(last, USUAL - 1)), last


def _asked(given: Mapping[str, str]) -> Asked:
    by = given.get("by", GROUPINGS[0])
    if by not in GROUPINGS:
        names = ", ".join(GROUPINGS)
        raise invalid("by", "one_of", f"只能是:{names}", f"must be one of: {names}")
    return Asked(by, {name: _compared(name, given[name]) for name in FILTERS if name in given})


def _compared(name: str, value: str) -> str:
    """A filter's value, without wildcards where it is compared with a pattern."""
    if not 1 <= len(value) <= _LONGEST:
        raise invalid(name, "length", "长度不对", "has the wrong length")
    if name not in PATTERNS:
        return value
    return value.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _group(given: Mapping[str, str], by: str) -> str:
    if "group" not in given:
        raise invalid("group", "required", "请填写(可以为空)", "is needed (it may be empty)")
    group = given["group"]
    if len(group) > _LONGEST:
        raise invalid("group", "length", "长度不对", "has the wrong length")
    if by == "month" and not is_month(group):
        raise invalid("group", "month", "须为月份,如 2026-10", "must be a month, such as 2026-10")
    return group


def _place(given: Mapping[str, str]) -> Place | None:
    if "after" not in given:
        return None
    fen, _, case_id = given["after"].partition(":")
    digits = fen.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18 and ":" in given["after"]):
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page")
    return Place(int(fen), case_id)
