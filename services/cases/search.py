"""The search box: an order, a case, or any number that belongs to one. What people wrote is never searched."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from aiohttp import web

from services.cases.domain.references import Kind
from services.cases.views import lookup_of
from services.kernel.http import lists
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import invalid
from services.kernel.service import Service

FOUND_MOST: Final = 20

Limit = Annotated[int, msgspec.Meta(ge=1, le=FOUND_MOST)]
_PARAMETERS: Final = (
    Parameter("q", lists.Word, "An order, case, waybill, payment reference, refund id or SKU, or how one begins"),
    Parameter("limit", Limit, f"Matches at most; {FOUND_MOST} where it is not said"),
    Parameter("wait", Literal["true", "false"], "true: also what was committed just before the request"),
)
_COLUMNS: Final = "kind, number, order_id, case_id, item, stage, opened_at"
_FROM: Final = f"SELECT {_COLUMNS} FROM reference_view WHERE"
_EXACT: Final = f"{_FROM} lookup = ? ORDER BY opened_at DESC, case_id DESC LIMIT ?"
_BEGINS: Final = f"{_FROM} lookup > ? AND lookup < ? ORDER BY lookup, opened_at DESC, case_id DESC LIMIT ?"
#: Behind everything that begins alike.
_LAST: Final = "\U0010ffff"
#: What a number stands for, the likeliest to be meant first.
_RANKS: Final = {kind: rank for rank, kind in enumerate(get_args(Kind))}

Row = dict[str, Any]


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """An order or a case that was found, once, by what fits best. `item`: the return, reshipment, proposal, … that the
    number is about; `stage`: where a parcel stands (`return_to_inspect`), empty once it arrived. `exact`: the whole
    number, else it only begins so. Of an order (`case_id` is empty) `opened_at` is when it was ordered."""

    kind: Kind
    value: str
    exact: bool
    order_id: str
    case_id: str
    item: str
    stage: str
    opened_at: datetime
    status: Literal["open", "closed", ""]
    problem: str
    assignee: str


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What fits, exactly first. `has_more`: the number begins more of them alike, or is that of more cases."""

    items: Sequence[SearchHit]
    has_more: bool


class Search:
    """Finds orders and cases by the numbers that the read tables keep."""

    def __init__(self, service: Service[Any]) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v1/search", self.search)]

    @describe(
        Operation(
            summary="Find an order or a case by any of its numbers",
            description="Letters may be small or capital; wide ones are read as plain ones where nothing fits as it is."
            " Of an article: the newest cases about it.",
            tag="cases",
            answer=SearchAnswer,
            query=_PARAMETERS,
            refusals=(422,),
        )
    )
    async def search(self, request: web.Request) -> web.Response:
        """What fits."""
        asked = dict(lists.parameters(request, [one.name for one in _PARAMETERS]))
        lists.check_wait(asked)
        limit = lists.whole_number(asked, "limit", 1, FOUND_MOST, FOUND_MOST)
        lookup, plain = _wanted(asked)
        if asked.get("wait") == "true":
            await lists.caught_up(self._service)
        answer = await self._found(lookup, limit)
        if not answer.items and plain != lookup:
            answer = await self._found(plain, limit)
        return lists.json(answer)

    async def _found(self, lookup: str, limit: int) -> SearchAnswer:
        query = self._service.store.query
        exact = await query(_EXACT, (lookup, limit + 1))
        begin = [] if len(exact) > limit else await query(_BEGINS, (lookup, lookup + _LAST, limit + 1))
        exact.sort(key=lambda row: (not row["stage"], _RANKS[row["kind"]]))
        rows = _once([*((row, True) for row in exact), *((row, False) for row in begin)])
        shown = rows[:limit]
        cases = await self._cases([row["case_id"] for row, _ in shown if row["case_id"]])
        found = [_document(row, is_exact, cases.get(row["case_id"], {})) for row, is_exact in shown]
        return SearchAnswer(items=found, has_more=max(len(exact), len(begin), len(rows)) > limit)

    async def _cases(self, case_ids: Sequence[str]) -> dict[str, Row]:
        if not case_ids:
            return {}
        places = ", ".join("?" * len(case_ids))
        sql = f"SELECT case_id, status, problem, assignee FROM case_view WHERE case_id IN ({places})"
        return {row["case_id"]: row for row in await self._service.store.query(sql, case_ids)}


def _wanted(asked: dict[str, str]) -> tuple[str, str]:
    """What is looked for: as it was typed, and with wide letters made plain, which a scanner types through a keyboard
    for Chinese."""
    text = asked.get("q", "")
    if not 1 <= len(text.strip()) <= 200:
        raise invalid("q", "length", "请输入 1 到 200 个字符", "must have 1 to 200 characters")
    return lookup_of(text), lookup_of(unicodedata.normalize("NFKC", text))


def _once(rows: Iterable[tuple[Row, bool]]) -> list[tuple[Row, bool]]:
    """Each order and case by the first number that fits."""
    first: dict[tuple[str, str], tuple[Row, bool]] = {}
    for row, exact in rows:
        first.setdefault((row["order_id"], row["case_id"]), (row, exact))
    return list(first.values())


def _document(row: Row, exact: bool, case: Row) -> SearchHit:
    return SearchHit(
        kind=row["kind"],
        value=row["number"],
        exact=exact,
        order_id=row["order_id"],
        case_id=row["case_id"],
        item=row["item"],
        stage=row["stage"],
        opened_at=datetime.fromisoformat(row["opened_at"]),
        status=case.get("status", ""),
        problem=case.get("problem", ""),
        assignee=case.get("assignee", ""),
    )
