"""What the events of the logs come to, folded once more: cases, stock, payouts, losses, and money by line."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.kernel.naming import is_operation
from tests.faults.history import Log, Logged

#: Kinds of compensation that are a loss, and the ones that use up what was paid for a line.
LOSSES = ("cash", "voucher", "price_difference")
DEDUCTED = ("cash", "price_difference")


def bodies(log: Log) -> Iterator[tuple[Logged, dict[str, Any]]]:
    """What the service itself decided, with the bodies of the events."""
    for event in log.own():
        yield event, json.loads(event.data)


@dataclass(slots=True)
class CaseState:
    """A case as `case_view` tells it."""

    order_id: str
    problem: str
    status: str = "open"
    promise: str = "kept"
    assignee: str = ""
    charged_fen: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def row(self) -> dict[str, Any]:
        parties = sorted(party for party, fen in self.charged_fen.items() if fen)
        return {
            "order_id": self.order_id,
            "problem": self.problem,
            "status": self.status,
            "promise": self.promise,
            "assignee": self.assignee,
            "parties": f"|{'|'.join(parties)}|" if parties else "",
        }


def cases(log: Log) -> dict[str, CaseState]:
    """All cases by id."""
    found: dict[str, CaseState] = {}
    for event in log.events:
        body = json.loads(event.data)
        if event.type == "case.opened":
            found[event.subject] = CaseState(body["order_id"], body["problem"])
        case = found.get(event.subject)
        if case is None:
            continue
        match event.type:
            case "case.reclassified":
                case.problem = body["problem"]
            case "case.assigned":
                case.assignee = body["to"]
            case "case.closed":
                case.status = "closed"
            case "case.reopened":
                case.status = "open"
            case "promise.broken":
                case.promise = "broken"
            case "loss.charged":
                case.charged_fen[body["party"]] += body.get("amount_fen", 0)
            case "loss.reversed":
                case.charged_fen[body["party"]] -= body.get("amount_fen", 0)
    return found


def stock(log: Log) -> dict[str, dict[str, int]]:
    """Units on the shelf, reserved and waited for, by article that was ever reported."""
    shelf: dict[str, int] = {}
    reserved: dict[tuple[str, str], dict[str, int]] = {}
    awaited: dict[tuple[str, str], dict[str, int]] = {}
    for event in log.own():
        body = json.loads(event.data)
        place = (event.subject, body.get("reshipment", ""))
        items = {item["sku"]: item["quantity"] for item in body.get("items", ())} if event.stream == "~stock" else {}
        match event.type:
            case "stock.reported":
                shelf[body["sku"]] = shelf.get(body["sku"], 0) + body.get("quantity", 0)
            case "stock.reserved":
                awaited.pop(place, None)
                reserved[place] = items
                for sku, quantity in items.items():
                    shelf[sku] = shelf.get(sku, 0) - quantity
            case "stock.awaited":
                awaited[place] = items
            case "stock.freed":
                awaited.pop(place, None)
                reserved.pop(place, None)
                for sku, quantity in items.items():
                    shelf[sku] = shelf.get(sku, 0) + quantity
    return {
        sku: {
            "available": units,
            "reserved": sum(items.get(sku, 0) for items in reserved.values()),
            "awaited": sum(items.get(sku, 0) for items in awaited.values()),
        }
        for sku, units in shelf.items()
    }


@dataclass(slots=True)
class PayoutState:
    """A payout as `payout_view` tells it, and how often each attempt was asked for and it was paid."""

    case_id: str
    order_id: str
    kind: str
    item: str
    amount_fen: int
    status: str = "requested"
    attempts: list[int] = field(default_factory=list)
    channel_refs: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        return {
            "case_id": self.case_id,
            "order_id": self.order_id,
            "kind": self.kind,
            "item": self.item,
            "amount_fen": self.amount_fen,
            "status": self.status,
            "channel_ref": self.channel_refs[-1] if self.channel_refs else "",
        }


def payouts(log: Log) -> dict[str, PayoutState]:
    """All payouts by reference."""
    found: dict[str, PayoutState] = {}
    for event in log.own():
        if not event.type.startswith("payout."):
            continue
        body = json.loads(event.data)
        payout = found.get(body["payout"])
        if payout is None:
            amount_fen = body.get("amount_fen", 0)
            payout = PayoutState(event.subject, event.stream, body["kind"], body["item"], amount_fen)
            found[body["payout"]] = payout
        payout.status = event.type.removeprefix("payout.")
        if event.type == "payout.requested":
            payout.attempts.append(body.get("attempt", 1))
        if event.type == "payout.succeeded":
            payout.channel_refs.append(body["channel_ref"])
    return found


def settlements(log: Log) -> dict[str, dict[str, Any]]:
    """The last figures told of each case; what is left out is 0."""
    return {
        event.subject: json.loads(event.data).get("settlement", {})
        for event in log.own()
        if event.type == "settlement.updated"
    }


@dataclass(slots=True)
class LossState:
    """A case's loss as liability sees it."""

    order_id: str
    net_fen: int = 0
    determined: list[dict[str, Any]] = field(default_factory=list)
    assigned: list[dict[str, Any]] = field(default_factory=list)
    charged_fen: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recovered_fen: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def due_fen(self) -> dict[str, int]:
        """What the parties bear by the shares in force: the largest remainders, ties by order of shares."""
        shares = [(one["party"], one.get("share_bp", 0)) for one in self.assigned or self.determined]
        size = abs(self.net_fen)
        parts = [size * share_bp // 10_000 for _, share_bp in shares]
        if shares:
            order = sorted(range(len(shares)), key=lambda n: (-(size * shares[n][1] % 10_000), n))
            for n in order[: size - sum(parts)]:
                parts[n] += 1
        sign = 1 if self.net_fen >= 0 else -1
        return {party: sign * fen for (party, _), fen in zip(shares, parts, strict=True)}


def losses(log: Log) -> dict[str, LossState]:
    """All losses by case."""
    found: dict[str, LossState] = {}
    for event in log.own():
        if is_operation(event.stream):
            continue
        body = json.loads(event.data)
        loss = found.setdefault(event.subject, LossState(event.stream))
        match event.type:
            case "loss.recorded":
                loss.net_fen += body.get("amount_fen", 0)
            case "liability.determined":
                loss.determined = body["shares"]
            case "liability.assigned":
                loss.assigned = body["shares"]
            case "loss.charged":
                loss.charged_fen[body["party"]] += body.get("amount_fen", 0)
            case "loss.reversed":
                loss.charged_fen[body["party"]] -= body.get("amount_fen", 0)
            case "loss.recovered":
                loss.recovered_fen[body["party"]] += body.get("amount_fen", 0)
    return found


def net_losses(logs: Mapping[str, Log]) -> dict[str, int]:
    """The net loss of each case by the facts that cases and refunds decided (`domain.md` §5), liability not asked."""
    net: dict[str, int] = defaultdict(int)
    for event in (*logs["cases"].own(), *logs["refunds"].own()):
        body = json.loads(event.data)
        amount_fen, case_id = body.get("amount_fen", 0), event.subject
        match event.type:
            case "compensation.paid" if body["kind"] in LOSSES:
                net[case_id] += amount_fen
            case "pickup.arranged":
                net[case_id] += body.get("freight_fen", 0)
            case "reshipment.shipped":
                net[case_id] += body.get("goods_cost_fen", 0) + body.get("freight_fen", 0)
            case "return.received" if body.get("accepted"):
                resalable = [line for line in body.get("lines", ()) if line.get("resalable")]
                net[case_id] -= sum(line.get("unit_cost_fen", 0) * line["quantity"] for line in resalable)
            case "buyer.paid" | "deposit.forfeited":
                net[case_id] -= amount_fen
            case "return_freight.reimbursed":
                net[case_id] += amount_fen
            case "payout.succeeded" if body["kind"] == "charge_return":
                net[case_id] += amount_fen
            case "refund.settled":
                goods = [line for line in body["lines"] if line["kind"] != "service"]
                net[case_id] += sum(line.get("unit_cost_fen", 0) * line["quantity"] for line in goods)
                for part in body.get("deductions", ()):
                    net[part["case_id"]] -= part.get("amount_fen", 0)
    return net


@dataclass(slots=True)
class LineMoney:
    """What the buyer paid for a line, and what he got back for it: refunds, cash and price differences."""

    paid_fen: int = 0
    refunded_fen: int = 0
    compensated_fen: int = 0


def lines(logs: Mapping[str, Log]) -> dict[tuple[str, str], LineMoney]:
    """Money by order and line."""
    money: dict[tuple[str, str], LineMoney] = defaultdict(LineMoney)
    for event in (*(one for one in logs["cases"].events if one.source != "refunds"), *logs["refunds"].own()):
        body = json.loads(event.data)
        match event.type:
            case "order.recorded":
                for line in body["order"]["lines"]:
                    money[event.stream, line["line_id"]].paid_fen = line.get("paid_fen", 0)
            case "compensation.paid" if body["kind"] in DEDUCTED:
                for part in body["allocation"]:
                    money[event.stream, part["line_id"]].compensated_fen += part.get("amount_fen", 0)
            case "refund.settled":
                for line in body["lines"]:
                    money[event.stream, line["line_id"]].refunded_fen += line.get("refund_fen", 0)
    return money
