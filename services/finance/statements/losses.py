"""What after-sales cost in a span of months, and what of it was recovered: by party, problem, article, carrier, cause,
channel or month, with its trend, and down to the cases.

It is of the accounts that statements of parties are of, and of suspense: the sums are theirs. Problem, cause and
articles of a case, and carrier and channel of its order, are as they are known now.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from services.finance.periods import Condition
from services.finance.statements.facts import named_in
from services.finance.statements.months import Months
from services.finance.statements.party import TWICE
from services.finance.statements.scope import AsAt
from services.kernel.event_store import Reads

By = Literal["party", "problem", "sku", "carrier", "cause", "channel", "month"]
GROUPINGS: Final[tuple[str, ...]] = get_args(By)

#: What parties bear and paid, and what nobody bears yet.
_BOOKS: Final = f"p.account IN ('losses', 'recoverable', 'claims', 'suspense') AND NOT ({TWICE})"

#: Groups that have a trend of their own; the others share one.
TRENDS: Final = 12
#: Groups that are told one by one, unless more are asked for.
GROUPS_TOLD: Final = 500

#: What a posting is grouped by; months have an expression of their own, articles stand together between bars.
_COLUMNS: Final[Mapping[str, str]] = {
    "party": "p.party",
    "problem": "COALESCE(f.problem, '')",
    "sku": "COALESCE(f.skus, '')",
    "carrier": "COALESCE(o.carrier, '')",
    "cause": "COALESCE(f.cause, '')",
    "channel": "COALESCE(o.channel, 'unknown')",
}
#: What may be asked for besides, with one place for its value; patterns have their wildcards taken.
FILTERS: Final[Mapping[str, str]] = {
    "party": "(p.party || '/') LIKE ? || '/%' ESCAPE '!'",
    "problem": "f.problem = ?",
    "sku": "f.skus LIKE '%|' || ? || '|%' ESCAPE '!'",
    "carrier": "o.carrier = ?",
    "cause": "f.cause = ?",
    "channel": "COALESCE(o.channel, 'unknown') = ?",
}
PATTERNS: Final = frozenset({"party", "sku"})

_CASE: Final = " LEFT JOIN case_fact_view f ON f.case_id = p.case_id"
_ORDER: Final = " LEFT JOIN order_fact_view o ON o.order_id = p.order_id"
#: Where groupings and filters are found, besides in the postings themselves.
_JOINS: Final[Mapping[str, str]] = {
    "problem": _CASE,
    "sku": _CASE,
    "cause": _CASE,
    "carrier": _ORDER,
    "channel": _ORDER,
}
#: What one case may have several of, so that groups do not make the cases of all of them.
_SEVERAL: Final = frozenset({"party", "month"})

#: What makes each figure.
_SUMS: Final[Mapping[str, str]] = {
    "charged_fen": "account = 'losses' AND memo <> 'correction'",
    "suspense_fen": "account = 'suspense'",
    "recovered_fen": "account = 'recoverable' AND memo = 'recovered'",
    "corrected_fen": "account <> 'suspense' AND memo = 'correction'",
}
_ADDED: Final = ", ".join(
    f"CAST(COALESCE(SUM(CASE WHEN {condition} THEN {'-' if name == 'recovered_fen' else ''}amount_fen ELSE 0 END), 0)"
    f" AS bigint) AS {name}"
    for name, condition in _SUMS.items()
)
_LOSS: Final = (
    f"CAST(SUM(CASE WHEN {_SUMS['suspense_fen']} OR {_SUMS['charged_fen']} THEN amount_fen ELSE 0 END) AS bigint)"
)
#: A case of which a group has anything left: what was booked and taken back altogether is no case of it.
_LEFT: Final = " OR ".join(
    f"SUM(CASE WHEN {condition} THEN amount_fen ELSE 0 END) <> 0" for condition in _SUMS.values()
)


class LossSums(msgspec.Struct, frozen=True, kw_only=True):
    """What moved, in fen. `loss_fen` is the net loss: charged to parties (less what was reversed or credited), and
    suspense, which nobody bears yet. loss − recovered + corrected is net: by so much parties owe or bear more."""

    loss_fen: int = 0
    charged_fen: int = 0
    suspense_fen: int = 0
    recovered_fen: int = 0
    corrected_fen: int = 0
    net_fen: int = 0


class LossFigures(LossSums, frozen=True, kw_only=True):
    """The same, and of how many cases: those of which anything is left, since what was booked and taken back altogether
    is none."""

    cases: int = 0


class LossGroup(LossFigures, frozen=True, kw_only=True):
    """A party, problem, article, carrier, cause, channel or month; `key` is empty where it is not known, and of parties
    where nobody bears it yet."""

    key: str


class LossTrend(msgspec.Struct, frozen=True, kw_only=True):
    """One group month by month, in fen, in the order of `months`. With `others` it is of all groups that have no trend
    of their own, `groups` of them."""

    key: str
    others: bool
    groups: int
    loss_fen: Sequence[int]
    recovered_fen: Sequence[int]


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """What after-sales cost from the first month to the last, both included.

    `rows`: the largest loss first, months in their order; of more groups than are asked for (500) the first,
    `left_out` says how many are not told. `trends`: the first 12 groups and the others; by month, one of all. `total`
    holds everything. A case about several articles counts with each of them, so that by `sku` the rows may come to more
    than the total.
    """

    by: str
    months: Sequence[str]
    as_at: AsAt
    rows: Sequence[LossGroup]
    left_out: int
    total: LossFigures
    trends: Sequence[LossTrend]


class LossParty(msgspec.Struct, frozen=True):
    """What a party was charged of a case, net, and what was recovered from it; in fen."""

    party: str
    charged_fen: int
    recovered_fen: int


class LossCase(LossSums, frozen=True, kw_only=True):
    """What a case has of a group. `case_id` is empty for corrections that are about no case. `parties`: who was charged
    of it in the group, and of what nobody bears yet, who bears the rest of the case."""

    case_id: str
    order_id: str
    problem: str
    cause: str
    parties: Sequence[LossParty]


class LossCases(msgspec.Struct, frozen=True, kw_only=True):
    """The cases behind a group, the largest loss first; all pages together make `total`, which is the group's row."""

    by: str
    group: str
    months: Sequence[str]
    as_at: AsAt
    total: LossFigures
    items: Sequence[LossCase]
    has_more: bool
    after: str | None


class Place(NamedTuple):
    """Behind which case a page begins."""

    loss_fen: int
    case_id: str


class Asked(NamedTuple):
    """What is asked for: the filters with their values, as `FILTERS` compares them."""

    by: str
    filters: Mapping[str, str]


async def losses(reads: Reads, months: Months, as_at: AsAt, asked: Asked, most: int = GROUPS_TOLD) -> Losses:
    """Everything that a chart and a table need; `most`: groups that are told one by one."""
    source = _source(months, asked)
    by_month = await _monthly(reads, source)
    counts = await _counts(reads, source)
    found = _expanded(asked.by, by_month, counts)
    told = _rows(asked.by, found, months.months)
    ranked = [""] if asked.by == "month" else [row.key for row in told]
    total = await _whole(reads, source) if asked.by in _SEVERAL else _added(by_month, sum(counts.values()))
    return Losses(
        by=asked.by,
        months=months.months,
        as_at=as_at,
        rows=told[:most],
        left_out=max(0, len(told) - most),
        total=_figures(total),
        trends=_trends(ranked, _trended(asked.by, by_month), months.months),
    )


async def loss_cases(
    reads: Reads, months: Months, as_at: AsAt, asked: Asked, group: str, limit: int, after: Place | None
) -> LossCases:
    """A page of the cases that one row of `losses` is made of."""
    source = _source(months, asked, group)
    total = await _whole(reads, source)
    rows = await _cases(reads, source, limit + 1, after)
    page = rows[:limit]
    named = [row["case_id"] for row in page]
    nobodys = asked.by == "party" and not group
    parties = await _parties(reads, _source(months, asked) if nobodys else source, named)
    facts = await _facts(reads, named)
    items = [_case(row, facts.get(row["case_id"], ("", "")), parties.get(row["case_id"], ())) for row in page]
    has_more = len(rows) > limit
    return LossCases(
        by=asked.by,
        group=group,
        months=months.months,
        as_at=as_at,
        total=_figures(total),
        items=items,
        has_more=has_more,
        after=f"{items[-1].loss_fen}:{items[-1].case_id}" if has_more else None,
    )


# -- questions to the database


def _source(months: Months, asked: Asked, group: str | None = None) -> Condition:
    """The postings that are asked for, each with its `key` and `month`; those of one group where it is said."""
    column, params = _column(months, asked.by)
    conditions = [_BOOKS, months.within.sql]
    params = [*params, *months.month.params, *months.within.params]
    for name, value in asked.filters.items():
        conditions.append(FILTERS[name])
        params.append(value)
    if group is not None:
        of_group = _of_group(months, asked.by, group)
        conditions.append(of_group.sql)
        params += of_group.params
    where = " AND ".join(f"({one})" for one in conditions)
    joins = "".join(sorted({_JOINS[name] for name in (asked.by, *asked.filters) if name in _JOINS}))
    sql = f"""
        SELECT {column} AS key, {months.month.sql} AS month, p.case_id, p.order_id, p.party, p.account, p.memo,
          p.amount_fen
        FROM postings p{joins}
        WHERE {where}"""
    return Condition(f"({sql}) AS entry", params)


def _column(months: Months, by: str) -> tuple[str, list[Any]]:
    return (months.month.sql, months.month.params) if by == "month" else (_COLUMNS[by], [])


def _of_group(months: Months, by: str, group: str) -> Condition:
    """What belongs to one group."""
    if by == "month":
        return months.calendar.inside(group)
    if by != "sku":
        return Condition(f"{_COLUMNS[by]} = ?", [group])
    if not group:
        return Condition(f"{_COLUMNS[by]} IN ('', '|')", [])
    escaped = group.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return Condition(FILTERS["sku"], [escaped])


async def _monthly(reads: Reads, source: Condition) -> Sequence[Mapping[str, Any]]:
    """Sums by key and month."""
    return await reads.query(f"SELECT key, month, {_ADDED} FROM {source.sql} GROUP BY key, month", source.params)


async def _counts(reads: Reads, source: Condition) -> Mapping[str, int]:
    """How many cases each key has."""
    sql = f"""
        SELECT key, COUNT(NULLIF(case_id, '')) AS cases FROM (
          SELECT key, case_id FROM {source.sql} GROUP BY key, case_id HAVING {_LEFT}
        ) AS left_of GROUP BY key"""
    return {row["key"]: row["cases"] for row in await reads.query(sql, source.params)}


async def _whole(reads: Reads, source: Condition) -> Mapping[str, int]:
    """Sums of everything, and how many cases there are."""
    [sums] = await reads.query(f"SELECT {_ADDED} FROM {source.sql}", source.params)
    sql = f"""
        SELECT COUNT(NULLIF(case_id, '')) AS cases FROM (
          SELECT case_id FROM {source.sql} GROUP BY case_id HAVING {_LEFT}
        ) AS left_of"""
    [counted] = await reads.query(sql, source.params)
    return {**sums, **counted}


async def _cases(reads: Reads, source: Condition, limit: int, after: Place | None) -> Sequence[dict[str, Any]]:
    """The next cases: larger losses first, those of the same loss in order of their names."""
    having, params = f"({_LEFT})", [*source.params]
    if after is not None:
        having += f" AND ({_LOSS} < ? OR ({_LOSS} = ? AND case_id > ?))"
        params += [after.loss_fen, after.loss_fen, after.case_id]
    sql = f"""
        SELECT case_id, MAX(order_id) AS order_id, {_ADDED}
        FROM {source.sql} GROUP BY case_id HAVING {having} ORDER BY {_LOSS} DESC, case_id LIMIT ?"""
    return await reads.query(sql, [*params, limit])


async def _parties(reads: Reads, source: Condition, cases: Sequence[str]) -> Mapping[str, Sequence[LossParty]]:
    """Who was charged what of these cases."""
    if not cases:
        return {}
    places = ", ".join("?" * len(cases))
    sql = f"""
        SELECT case_id, party, {_ADDED} FROM {source.sql}
        WHERE case_id IN ({places}) AND account <> 'suspense'
        GROUP BY case_id, party HAVING {_LEFT} ORDER BY case_id, party"""
    found: dict[str, list[LossParty]] = defaultdict(list)
    for row in await reads.query(sql, [*source.params, *cases]):
        found[row["case_id"]].append(LossParty(row["party"], row["charged_fen"], row["recovered_fen"]))
    return found


async def _facts(reads: Reads, cases: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Problem and cause of these cases."""
    if not cases:
        return {}
    sql = f"SELECT case_id, problem, cause FROM case_fact_view WHERE case_id IN ({', '.join('?' * len(cases))})"
    return {row["case_id"]: (row["problem"], row["cause"]) for row in await reads.query(sql, cases)}


# -- answers


def _keys(by: str, key: str) -> Sequence[str]:
    """The groups that a key stands for: every article of a case."""
    return (list(named_in(key)) or [""]) if by == "sku" else [key]


def _added(rows: Iterable[Mapping[str, Any]], cases: int) -> Mapping[str, int]:
    """What rows come to, of so many cases."""
    total = Counter[str](cases=cases)
    for row in rows:
        total.update({name: row[name] for name in _SUMS})
    return total


def _expanded(by: str, rows: Iterable[Mapping[str, Any]], counts: Mapping[str, int]) -> Mapping[str, Counter[str]]:
    """Figures by group."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for key in _keys(by, row["key"]):
            found[key].update({name: row[name] for name in _SUMS})
    for whole, cases in counts.items():
        for key in _keys(by, whole):
            found[key]["cases"] += cases
    return found


def _trended(by: str, rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Counter[str]]]:
    """Figures by group and month."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        for key in [""] if by == "month" else _keys(by, row["key"]):
            found[key][row["month"]].update({name: row[name] for name in _SUMS})
    return found


def _rows(by: str, found: Mapping[str, Counter[str]], months: Sequence[str]) -> list[LossGroup]:
    if by == "month":
        return [_row(month, found.get(month, Counter())) for month in months]
    rows = [_row(key, sums) for key, sums in found.items()]
    return sorted(rows, key=lambda row: (-row.loss_fen, row.key))


def _row(key: str, sums: Mapping[str, int]) -> LossGroup:
    return LossGroup(key=key, **_all(sums), cases=sums["cases"])


def _figures(sums: Mapping[str, int]) -> LossFigures:
    return LossFigures(**_all(sums), cases=sums["cases"])


def _case(row: Mapping[str, Any], facts: tuple[str, str], parties: Sequence[LossParty]) -> LossCase:
    problem, cause = facts
    return LossCase(
        **_all(row),
        case_id=row["case_id"],
        order_id=row["order_id"] if row["case_id"] else "",
        problem=problem,
        cause=cause,
        parties=parties,
    )


def _all(sums: Mapping[str, int]) -> dict[str, int]:
    """The sums that were added up, and those that follow from them."""
    loss_fen = sums["charged_fen"] + sums["suspense_fen"]
    own = {name: sums[name] for name in _SUMS}
    return own | {"loss_fen": loss_fen, "net_fen": loss_fen - sums["recovered_fen"] + sums["corrected_fen"]}


def _trends(
    ranked: Sequence[str], found: Mapping[str, Mapping[str, Counter[str]]], months: Sequence[str]
) -> list[LossTrend]:
    """The first groups one by one, and the others as one."""
    trends = [_trend(key, [found.get(key, {})], months) for key in ranked[:TRENDS]]
    if others := [found.get(key, {}) for key in ranked[TRENDS:]]:
        trends.append(_trend("", others, months, is_others=True))
    return trends


def _trend(
    key: str, some: Sequence[Mapping[str, Mapping[str, int]]], months: Sequence[str], *, is_others: bool = False
) -> LossTrend:
    lost, recovered = Counter[str](), Counter[str]()
    for by_month in some:
        for month, sums in by_month.items():
            lost[month] += sums["charged_fen"] + sums["suspense_fen"]
            recovered[month] += sums["recovered_fen"]
    return LossTrend(
        key=key,
        others=is_others,
        groups=len(some),
        loss_fen=[lost[month] for month in months],
        recovered_fen=[recovered[month] for month in months],
    )
