"""The judge's rules about money and read tables (`domain.md` §3 to §5)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults import fold
from tests.faults.history import History


def payouts_are_single(history: History) -> Iterator[str]:
    """Each attempt of a payout was asked for once, one after the other, and no payout was made twice."""
    for reference, payout in fold.payouts(history.logs["refunds"]).items():
        if payout.attempts != list(range(1, len(payout.attempts) + 1)):
            yield f"{reference}: attempts {payout.attempts}"
        if len(payout.channel_refs) > 1:
            yield f"{reference}: paid {len(payout.channel_refs)} times: {', '.join(payout.channel_refs)}"


def refunds_are_single(history: History) -> Iterator[str]:
    """Each refund, freight and deposit was decided and settled once."""
    once = {
        ("refunds", "refund.calculated"): "refund",
        ("refunds", "refund.settled"): "refund",
        ("refunds", "return_freight.reimbursed"): "return_id",
        ("cases", "deposit.returned"): "deposit",
        ("cases", "compensation.paid"): "proposal",
        ("cases", "reshipment.shipped"): "reshipment",
        ("liability", "loss.recorded"): "cause_id",
    }
    for log in history.logs.values():
        seen: Counter[tuple[Any, ...]] = Counter()
        for event, body in fold.bodies(log):
            if field := once.get((log.service, event.type)):
                seen[event.type, event.subject, body[field], body.get("entry", "")] += 1
        for (type_, subject, item, _), times in seen.items():
            if times > 1:
                yield f"{subject}: {type_} of {item} {times} times"


def refunds_stay_below_what_was_paid(history: History) -> Iterator[str]:
    """Σ refunds + cash + price differences ≤ what the buyer paid, for every line and so for every order."""
    for (order_id, line_id), money in fold.lines(history.logs).items():
        if money.refunded_fen + money.compensated_fen > money.paid_fen:
            yield (
                f"{order_id}/{line_id}: refunded {money.refunded_fen} and compensated {money.compensated_fen}"
                f" of {money.paid_fen} fen"
            )


def provider_paid_once(history: History) -> Iterator[str]:
    """The provider paid no reference twice, and nothing that was not asked for with this amount."""
    payouts = fold.payouts(history.logs["refunds"])
    times = Counter(payment["reference"] for payment in history.paid or ())
    for payment in history.paid or ():
        reference, amount_fen = payment["reference"], payment["amount_fen"]
        if times[reference] > 1:
            yield f"{reference}: the provider paid it {times[reference]} times"
        if reference not in payouts:
            yield f"{reference}: the provider paid {amount_fen} fen that nobody asked for"
        elif payouts[reference].amount_fen != amount_fen:
            yield f"{reference}: the provider paid {amount_fen} fen instead of {payouts[reference].amount_fen}"


def shelf_is_never_oversold(history: History) -> Iterator[str]:
    """No more units are reserved than were reported."""
    for sku, units in fold.stock(history.logs["cases"]).items():
        if units["available"] < 0:
            yield f"{sku}: {units['available']} units on the shelf"


# -- once nothing is on its way any more


def provider_agrees(history: History) -> Iterator[str]:
    """What the log says is paid is what the provider says, payment by payment."""
    if history.paid is None:
        return
    logged = {
        reference: (payout.amount_fen, payout.channel_refs[0])
        for reference, payout in fold.payouts(history.logs["refunds"]).items()
        if payout.channel_refs
    }
    paid = {one["reference"]: (one["amount_fen"], one["channel_ref"]) for one in history.paid}
    for reference in sorted(logged.keys() | paid.keys()):
        if logged.get(reference) != paid.get(reference):
            yield f"{reference}: the log says {logged.get(reference)}, the provider {paid.get(reference)}"


def losses_follow_from_facts(history: History) -> Iterator[str]:
    """The net loss that liability recorded is the one that follows from what cases and refunds decided."""
    expected, recorded = fold.net_losses(history.logs), fold.losses(history.logs["liability"])
    for case_id in sorted(expected.keys() | recorded.keys()):
        net_fen = recorded[case_id].net_fen if case_id in recorded else 0
        if net_fen != expected.get(case_id, 0):
            yield f"{case_id}: liability recorded {net_fen}, the facts say {expected.get(case_id, 0)} fen"


def parties_bear_the_losses(history: History) -> Iterator[str]:
    """Every party bears its share of the net loss, to the fen; without shares nobody does."""
    for case_id, loss in fold.losses(history.logs["liability"]).items():
        due = {party: fen for party, fen in loss.due_fen.items() if fen}
        charged = {party: fen for party, fen in loss.charged_fen.items() if fen}
        if due != charged:
            yield f"{case_id}: of {loss.net_fen} fen parties bear {charged} instead of {due}"


def parties_and_suspense_make_the_loss(history: History) -> Iterator[str]:
    """Σ parties + suspense = net loss in the read tables, for each case and in all; and all of it is what happened."""
    tables = history.logs["liability"].tables
    charged: dict[str, int] = defaultdict(int)
    for row in tables["charge_view"]:
        charged[row["case_id"]] += row["charged_fen"]
    for row in tables["loss_view"]:
        if charged[row["case_id"]] + row["suspense_fen"] != row["net_fen"]:
            yield f"{row['case_id']}: {charged[row['case_id']]} + {row['suspense_fen']} is not {row['net_fen']} fen"
    total_fen = sum(fold.net_losses(history.logs).values())
    told_fen = sum(charged.values()) + sum(row["suspense_fen"] for row in tables["loss_view"])
    if total_fen != told_fen:
        yield f"all parties and suspense hold {told_fen} fen of {total_fen}"


def cases_table_is_the_fold(history: History) -> Iterator[str]:
    """`case_view` is what the log of cases comes to."""
    log = history.logs["cases"]
    yield from _compared(
        "case_view", {key: case.row() for key, case in fold.cases(log).items()}, _by(log.tables["case_view"], "case_id")
    )


def stock_table_is_the_fold(history: History) -> Iterator[str]:
    """`stock_view` is what the log of cases comes to."""
    log = history.logs["cases"]
    yield from _compared("stock_view", fold.stock(log), _by(log.tables["stock_view"], "sku"))


def payouts_table_is_the_fold(history: History) -> Iterator[str]:
    """`payout_view` is what the log of refunds comes to."""
    log = history.logs["refunds"]
    folded = {reference: payout.row() for reference, payout in fold.payouts(log).items()}
    yield from _compared("payout_view", folded, _by(log.tables["payout_view"], "payout"))


def settlements_table_is_the_fold(history: History) -> Iterator[str]:
    """`settlement_view` is what was told last of each case."""
    log = history.logs["refunds"]
    rows, told = _by(log.tables["settlement_view"], "case_id"), fold.settlements(log)
    for case_id in sorted(rows.keys() | told.keys()):
        figures = rows.get(case_id, {})
        for name in sorted(name for name in figures if name.endswith("_fen")):
            if figures[name] != told.get(case_id, {}).get(name, 0):
                yield f"settlement_view {case_id}: {name} is {figures[name]}, told {told.get(case_id, {}).get(name, 0)}"
        if case_id not in rows:
            yield f"settlement_view {case_id} is missing"


def exceptions_table_is_the_fold(history: History) -> Iterator[str]:
    """`exception_view` holds a row for every exception that was raised."""
    log = history.logs["refunds"]
    raised = Counter(event.subject for event in log.own() if event.type == "exception.raised")
    listed = Counter(row["case_id"] for row in log.tables["exception_view"])
    for case_id in sorted(raised.keys() | listed.keys()):
        if raised[case_id] != listed[case_id]:
            yield f"exception_view {case_id}: {listed[case_id]} of {raised[case_id]}"


def losses_tables_are_the_fold(history: History) -> Iterator[str]:
    """`loss_view` and `charge_view` are what the log of liability comes to."""
    log = history.logs["liability"]
    folded = fold.losses(log)
    losses = {key: {"order_id": one.order_id, "net_fen": one.net_fen} for key, one in folded.items() if one.net_fen}
    rows = {key: row for key, row in _by(log.tables["loss_view"], "case_id").items() if row["net_fen"] or key in losses}
    yield from _compared("loss_view", losses, rows)
    charges = {
        f"{case_id}/{party}": {"charged_fen": fen, "recovered_fen": one.recovered_fen.get(party, 0)}
        for case_id, one in folded.items()
        for party, fen in one.charged_fen.items()
    }
    listed = {f"{row['case_id']}/{row['party']}": row for row in log.tables["charge_view"]}
    yield from _compared("charge_view", charges, listed)


def _by(rows: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows}


def _compared(
    table: str, folded: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for key in sorted(folded.keys() | rows.keys()):
        if key not in rows:
            yield f"{table} {key} is missing"
        elif key not in folded:
            yield f"{table} {key} is of nothing that happened"
        else:
            for column, value in folded[key].items():
                if rows[key][column] != value:
                    yield f"{table} {key}: {column} is {rows[key][column]!r}, the log comes to {value!r}"


ALWAYS = (
    payouts_are_single,
    refunds_are_single,
    refunds_stay_below_what_was_paid,
    provider_paid_once,
    shelf_is_never_oversold,
)
SETTLED = (
    provider_agrees,
    losses_follow_from_facts,
    parties_bear_the_losses,
    parties_and_suspense_make_the_loss,
    cases_table_is_the_fold,
    stock_table_is_the_fold,
    payouts_table_is_the_fold,
    settlements_table_is_the_fold,
    exceptions_table_is_the_fold,
    losses_tables_are_the_fold,
)
