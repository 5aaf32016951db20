"""The indicators that leads watch: how often buyers complain and get their money back, how fast they are answered, what
it costs, and whether one article piles up.

Money is of the month as the ledger has it. Cases and orders are those that were opened or placed in the month, as they
are known now: a case that is answered or rated later still counts where it was opened.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from services.finance.statements import facts
from services.finance.statements.facts import Row, Span
from services.finance.statements.ratio import Ratio, ratio
from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads

#: A buyer who gives so many stars, or more, is satisfied.
_SATISFIED: Final = 4
_SCORES: Final = range(1, 6)


class Times(msgspec.Struct, frozen=True):
    """How a promise was kept. `kept`: of the cases in which it was kept or broken; `pending`: it is still open.

    Half of those that were answered (or solved) were it within `median_seconds`, nine of ten within `p90_seconds`; null
    where none was.
    """

    kept: Ratio
    pending: int
    median_seconds: int | None
    p90_seconds: int | None


class Satisfaction(msgspec.Struct, frozen=True):
    """What buyers said. `satisfied`: 4 or 5 of 5, of those who rated; `rated`: of all cases; `mean_hundredths`: the
    mean score, 450 for 4.5, null where nobody rated; `scores`: how often each was given."""

    satisfied: Ratio
    rated: Ratio
    mean_hundredths: int | None
    scores: Mapping[int, int]


class AgentRow(msgspec.Struct, frozen=True):
    """What was paid of what an agent proposed (`agent/小李`), in fen; `reward_fen` are good-review rewards."""

    agent: str
    payments: int
    cash_fen: int
    price_difference_fen: int
    voucher_fen: int
    reward_fen: int
    total_fen: int


class CarrierRow(msgspec.Struct, frozen=True):
    """A carrier. `cases` whose cause points to it, of its orders; `loss`: what it was charged, net of what was taken
    back, of what was paid for its orders; `recovered_fen` was collected from it."""

    carrier: str
    cases: Ratio
    loss: Ratio
    recovered_fen: int


class DefectRules(msgspec.Struct, frozen=True):
    """When a batch may be defective: at least `cases` of one article and cause within `days`, and at least `share_bp`
    (1/10000) of the orders with the article that were placed in these days."""

    cases: int = 5
    days: int = 30
    share_bp: int = 100


class BatchDefect(msgspec.Struct, frozen=True):
    """An article that piles up with one cause. `share`: its cases of the orders with it."""

    sku: str
    cause: str
    share: Ratio
    cases: Sequence[str]


class BatchDefects(msgspec.Struct, frozen=True):
    """Articles that pile up, the most cases first, within days of the shop's up to the end of the month (or today)."""

    rules: DefectRules
    first_day: str
    last_day: str
    alarms: Sequence[BatchDefect]


class Indicators(msgspec.Struct, frozen=True, kw_only=True):
    """Indicators of a month, or of all time where `month` is empty. Rates are in 1/10000.

    `refund_rate`: orders of which something was refunded, of the orders placed. `refund_amount_rate`: what was refunded
    of what was paid for orders placed. `case_rate`: cases opened, of the orders placed. `dispute_rate`: cases that were
    escalated; `channel_refund_rate`: that came as a refund request of the channel; `reopen_rate`: that were reopened;
    each of the cases opened. What was refunded in a month may be of orders of an earlier one.
    """

    month: str
    as_at: AsAt
    refund_rate: Ratio
    refund_amount_rate: Ratio
    case_rate: Ratio
    dispute_rate: Ratio
    channel_refund_rate: Ratio
    reopen_rate: Ratio
    first_answer: Times
    solution: Times
    satisfaction: Satisfaction
    agents: Sequence[AgentRow]
    carriers: Sequence[CarrierRow]
    batch_defects: BatchDefects


async def indicators(reads: Reads, scope: Scope, rules: DefectRules) -> Indicators:
    """All indicators."""
    span = Span(scope.first_day, scope.last_day)
    orders, refunded = await facts.order_sums(reads, span), await facts.refund_sums(reads, scope)
    cases = await facts.case_sums(reads, span)
    return Indicators(
        month=scope.month,
        as_at=scope.as_at,
        refund_rate=ratio(refunded["orders"], orders["orders"]),
        refund_amount_rate=ratio(refunded["refunded"], orders["paid"]),
        case_rate=ratio(cases["cases"], orders["orders"]),
        dispute_rate=ratio(cases["escalated"], cases["cases"]),
        channel_refund_rate=ratio(cases["channel_refunds"], cases["cases"]),
        reopen_rate=ratio(cases["reopened"], cases["cases"]),
        first_answer=times(cases, "first_answer", await facts.seconds_at(reads, span, "first_answer", (50, 90))),
        solution=times(cases, "solution", await facts.seconds_at(reads, span, "solution", (50, 90))),
        satisfaction=satisfaction(cases),
        agents=agents(await facts.compensation_by_agent(reads, scope)),
        carriers=carriers(
            await facts.orders_by_carrier(reads, span),
            await facts.cases_by_carrier(reads, span),
            await facts.losses_by_carrier(reads, scope),
        ),
        batch_defects=await _batch_defects(reads, scope.last_day, rules),
    )


def times(cases: Row, promise: str, seconds: Sequence[int | None]) -> Times:
    """How a promise was kept; `seconds` are those of the median and of nine in ten."""
    kept, broken = cases[f"{promise}_kept"], cases[f"{promise}_broken"]
    median, p90 = seconds
    return Times(ratio(kept, kept + broken), cases["cases"] - kept - broken, median, p90)


def satisfaction(cases: Row) -> Satisfaction:
    """What buyers said of the cases."""
    scores = {score: cases[f"score_{score}"] for score in _SCORES}
    rated = sum(scores.values())
    points = sum(score * count for score, count in scores.items())
    return Satisfaction(
        satisfied=ratio(sum(count for score, count in scores.items() if score >= _SATISFIED), rated),
        rated=ratio(rated, cases["cases"]),
        mean_hundredths=(200 * points + rated) // (2 * rated) if rated else None,
        scores=scores,
    )


def agents(paid: Iterable[Row]) -> list[AgentRow]:
    """What was paid of what each agent proposed, the most first."""
    by_kind: dict[str, dict[str, int]] = defaultdict(dict)
    payments: dict[str, int] = defaultdict(int)
    for row in paid:
        by_kind[row["agent"]][row["kind"]] = row["amount"]
        payments[row["agent"]] += row["payments"]
    rows = [
        AgentRow(
            agent=agent,
            payments=payments[agent],
            cash_fen=kinds.get("cash", 0),
            price_difference_fen=kinds.get("price_difference", 0),
            voucher_fen=kinds.get("voucher", 0),
            reward_fen=kinds.get("good_review_reward", 0),
            total_fen=sum(kinds.values()),
        )
        for agent, kinds in by_kind.items()
    ]
    return sorted(rows, key=lambda row: (-row.total_fen, row.agent))


def carriers(orders: Iterable[Row], cases: Iterable[Row], losses: Iterable[Row]) -> list[CarrierRow]:
    """What went wrong with each carrier, the largest loss first."""
    placed = {row["carrier"]: row for row in orders}
    complained = {row["party"].removeprefix(facts.COURIER): row["cases"] for row in cases}
    lost = {row["party"].removeprefix(facts.COURIER): row for row in losses}
    rows = [
        CarrierRow(
            carrier=name,
            cases=ratio(complained.get(name, 0), placed[name]["orders"] if name in placed else 0),
            loss=ratio(lost[name]["charged"] if name in lost else 0, placed[name]["paid"] if name in placed else 0),
            recovered_fen=lost[name]["recovered"] if name in lost else 0,
        )
        for name in {*placed, *complained, *lost}
    ]
    return sorted(rows, key=lambda row: (-row.loss.numerator, row.carrier))


async def _batch_defects(reads: Reads, last_day: str, rules: DefectRules) -> BatchDefects:
    """Orders are counted only where articles pile up."""
    first = date.fromisoformat(last_day) - timedelta(days=rules.days - 1)
    span = Span(first.isoformat(), last_day)
    piles = piled_up(await facts.causes_of_cases(reads, span), rules.cases)
    orders: Counter[str] = Counter()
    for row in await facts.orders_by_skus(reads, span) if piles else ():
        for sku in facts.named_in(row["skus"]):
            orders[sku] += row["orders"]
    return BatchDefects(rules, *span, alarms(piles, orders, rules.share_bp))


def piled_up(cases: Iterable[Row], at_least: int) -> dict[tuple[str, str], list[str]]:
    """Cases by article and cause, where there are enough."""
    piles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in cases:
        for sku in facts.named_in(row["skus"]):
            piles[sku, row["cause"]].append(row["case_id"])
    return {key: some for key, some in piles.items() if len(some) >= at_least}


def alarms(
    piles: Mapping[tuple[str, str], Sequence[str]], orders: Mapping[str, int], share_bp: int
) -> list[BatchDefect]:
    """The piles that are a large enough part of the article's orders; of an article without orders, every one."""
    found = [BatchDefect(sku, cause, ratio(len(cases), orders[sku]), cases) for (sku, cause), cases in piles.items()]
    large = [one for one in found if one.share.numerator * 10_000 >= share_bp * one.share.denominator]
    return sorted(large, key=lambda one: (-len(one.cases), one.sku, one.cause))
