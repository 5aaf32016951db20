"""A shop to try the rules of cases on: its orders and its stockroom, run as the kernel does, without infrastructure."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from contracts.event import CaseEvent, Event, type_of
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import Line
from contracts.policy import load_policy
from contracts.registry import EVENTS_BY_SOURCE, decode, encode
from services.cases.domain.case import Case
from services.cases.domain.closing import next_due
from services.cases.domain.domain import AnyFile, CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.domain.stock import STOCK, StockFile
from services.kernel.actor import Actor
from services.kernel.decider import Context
from services.kernel.intake import intake
from services.kernel.refusal import Refusal
from tests.given import ROUNDS_MAX, START, Told, line

POLICY = load_policy()
DOMAIN = CasesDomain(POLICY)
AGENT, OTHER_AGENT, LEAD, MANAGER = "agent/小李", "agent/小赵", "team_lead/老陈", "store_manager/老王"
WAREHOUSE, FINANCE, SERVICE = "warehouse/西仓", "finance/老钱", "service/app"
ONE = "TB1-1"
PHOTO: dict[str, Any] = {"kind": "photo", "file": "a" * 64, "media_type": "image/jpeg", "size_bytes": 1000}


def names(events: Sequence[Event]) -> list[str]:
    """Types of events, in order."""
    return [type_of(event) for event in events]


class Shop:
    """All files of the cases service. A minute passes before each command, unless `at` says when."""

    def __init__(self, *lines: Line, domain: CasesDomain = DOMAIN, **order: Any) -> None:
        self.domain = domain
        self.now = START
        self.files: dict[str, AnyFile] = {}
        self.told: dict[str, list[Told]] = {}
        self.record_order(*lines, **order)

    # -- what the kernel does

    def do(
        self, command: str, by: str = AGENT, case: str = ONE, at: datetime | None = None, **body: Any
    ) -> list[Event]:
        """What a command decides, and what follows from it in other files; raises `Refusal`."""
        context = self._next(by, at)
        stream = self._stream(command, case, body)
        return self._unit(stream, lambda file: intake(self.domain, file, case, command, body, context), context)

    def refusal(self, command: str, by: str = AGENT, case: str = ONE, **body: Any) -> Refusal:
        """How a command is refused; it must change nothing."""
        before = self.state()
        try:
            events = self.do(command, by, case, **body)
        except Refusal as refusal:
            told = refusal
        else:
            raise AssertionError(f"{command} was not refused but gave {events}")
        assert self.state() == before
        text = POLICY.refusal_text(told.code, told.params)
        assert text.zh
        assert text.en
        return told

    def refused(self, command: str, by: str = AGENT, case: str = ONE, **body: Any) -> str:
        """The code with which a command is refused; it must change nothing."""
        return self.refusal(command, by, case, **body).code

    def hear(self, event: Event, by: str | None = None, at: datetime | None = None) -> list[Event]:
        """What follows from another service's event."""
        name = type_of(event)
        source = next(one for one, types in EVENTS_BY_SOURCE.items() if name in types)
        context = self._next(f"system/{source}" if source in ("cases", "refunds", "liability") else "system/erp", at)
        return self._hear(Told(event, self.now, by or str(context.actor), "heard", source), context)

    def wait(self, until: datetime) -> list[Event]:
        """Let time pass; what is due happens at its time."""
        events: list[Event] = []
        while due := self._next_due(until):
            self.now, case = due
            context = Context(self.now, Actor("system", "cases"))
            events += self._unit(self._stream("", case.case_id, {}), lambda file: (), context, {case.case_id})
        self.now = until
        return events

    def _next_due(self, until: datetime) -> tuple[datetime, Case] | None:
        cases = [case for file in self.files.values() if isinstance(file, OrderFile) for case in file.cases.values()]
        dues = [(due, case) for case in cases if (due := next_due(case)) is not None and due <= until]
        return min(dues, key=lambda one: one[0]) if dues else None

    def _next(self, by: str, at: datetime | None) -> Context:
        self.now = at or self.now + timedelta(minutes=1)
        return Context(self.now, Actor.parse(by))

    @staticmethod
    def _stream(command: str, case: str, body: dict[str, Any]) -> str:
        if command in ("open_case", "record_order", "erase_personal_data"):
            return str(body.get("order_id", "TB1"))
        return STOCK if command == "report_stock" else case.rpartition("-")[0]

    def file_of(self, stream: str) -> AnyFile:
        return self.files.setdefault(stream, self.domain.new_file(stream))

    def _hear(self, fact: Told, context: Context) -> list[Event]:
        home = self.domain.home_of(fact.event, _order_of(fact.event))
        touched = {fact.event.case_id} if isinstance(fact.event, CaseEvent) else set()
        if type_of(fact.event) in self.domain.learns:
            self._fold(home, fact)
        return self._unit(home, lambda file: self.domain.react(file, fact, context), context, touched)

    def _unit(
        self,
        stream: str,
        decide: Callable[[AnyFile], Sequence[Event]],
        context: Context,
        touched: set[str] | None = None,
    ) -> list[Event]:
        file, touched = self.file_of(stream), touched or set()
        facts = self._apply(stream, decide(file), context, touched)
        system = Context(context.now, Actor("system", "cases"))
        for _ in range(ROUNDS_MAX):
            others = {name: self.file_of(name) for name in self.domain.needs(file, touched)}
            more = self._apply(stream, self.domain.follow_ups(file, others, touched, system), system, touched)
            if not more:
                break
            facts += more
        else:
            raise AssertionError("follow-ups never end")
        consequences = [
            event for fact in facts if type_of(fact.event) in self.domain.hears for event in self._hear(fact, system)
        ]
        return [fact.event for fact in facts] + consequences

    def _apply(self, stream: str, events: Sequence[Event], context: Context, touched: set[str]) -> list[Told]:
        facts = []
        for event in events:
            assert decode(type_of(event), event.schema_version, encode(event)) == event
            home = self.domain.stream_of(event, stream)
            fact = Told(event, context.now, str(context.actor), f"{home}-{len(self.told.get(home, ()))}", "cases")
            self._fold(home, fact)
            if isinstance(event, CaseEvent):
                touched.add(event.case_id)
            facts.append(fact)
        return facts

    def _fold(self, stream: str, fact: Told) -> None:
        self.file_of(stream).evolve(fact)
        self.told.setdefault(stream, []).append(fact)

    # -- what there is to see

    def state(self) -> dict[str, str]:
        """Everything that the files hold."""
        return {stream: repr(vars(file)) for stream, file in self.files.items() if self.told.get(stream)}

    def replayed(self) -> dict[str, str]:
        """Everything that the files hold when they are folded anew from what was recorded."""
        files = {stream: self.domain.new_file(stream) for stream in self.told}
        for stream, facts in self.told.items():
            for fact in facts:
                files[stream].evolve(fact)
        return {stream: repr(vars(file)) for stream, file in files.items()}

    @property
    def order(self) -> OrderFile:
        file = self.file_of("TB1")
        assert isinstance(file, OrderFile)
        return file

    @property
    def stock(self) -> StockFile:
        file = self.file_of(STOCK)
        assert isinstance(file, StockFile)
        return file

    def case(self, case: str = ONE) -> Case:
        file = self.file_of(case.rpartition("-")[0])
        assert isinstance(file, OrderFile)
        return file.cases[case]

    def status(self, reshipment: str = "R1", case: str = ONE) -> str:
        return self.case(case).reshipments[reshipment].status

    # -- what people do, in short

    def record_order(self, *lines: Line, **order: Any) -> list[Event]:
        return self.do("record_order", SERVICE, **order_body(*lines, **order))

    def open(self, problem: str = "wrong_product", by: str = AGENT, order_id: str = "TB1", **body: Any) -> str:
        opened = self.do("open_case", by, order_id=order_id, problem=problem, description="坏了", **body)[0]
        assert isinstance(opened, c.CaseOpened)
        return opened.case_id

    def photo(self, case: str = ONE) -> None:
        """A photo that shows it."""
        self.do("submit_evidence", case=case, **PHOTO)
        self.do("review_evidence", case=case, evidence=f"E{len(self.case(case).evidence)}", accepted=True)

    def offer(self, amount_fen: int, kind: str = "cash", by: str = AGENT, case: str = ONE, **body: Any) -> str:
        offered = self.do("propose_compensation", by, case, kind=kind, amount_fen=amount_fen, **body)[0]
        assert isinstance(offered, c.CompensationProposed)
        return offered.proposal

    def pay(self, proposal: str, case: str = ONE) -> None:
        """The buyer agrees and is paid."""
        self.do("record_buyer_reply", case=case, proposal=proposal, accepted=True)
        self.do("pay_compensation", case=case, proposal=proposal, payment_ref=f"ALI-{case}-{proposal}")

    def give(self, amount_fen: int, kind: str = "cash", by: str = AGENT, case: str = ONE, **body: Any) -> str:
        proposal = self.offer(amount_fen, kind, by, case, **body)
        self.pay(proposal, case)
        return proposal

    def reship(
        self,
        sku: str = "SKU-L1",
        quantity: int = 1,
        cost_fen: int = 100,
        trigger: str = "now",
        case: str = ONE,
        **item: Any,
    ) -> list[Event]:
        items = [{"sku": sku, "quantity": quantity, "unit_cost_fen": cost_fen, **item}]
        return self.do("order_reshipment", case=case, items=items, trigger=trigger)

    def ship(self, reshipment: str = "R1", case: str = ONE, freight_fen: int = 800) -> list[Event]:
        return self.do("ship_reshipment", WAREHOUSE, case, **shipping(reshipment, freight_fen))

    def deliver(self, reshipment: str = "R1", case: str = ONE) -> None:
        self.ship(reshipment, case)
        self.do("confirm_delivery", SERVICE, case, reshipment=reshipment)

    def authorise(
        self, units: int = 1, line_id: str = "L1", case: str = ONE, by: str = AGENT, **body: Any
    ) -> list[Event]:
        return self.do("authorise_return", by, case, lines=units_of(units, line_id), **body)

    def send_back(self, case: str = ONE, freight_fen: int = 0, **body: Any) -> list[Event]:
        return self.do("ship_return", SERVICE, case, carrier="ZTO", tracking_no="Z1", freight_fen=freight_fen, **body)

    def receive(
        self,
        units: int = 1,
        line_id: str = "L1",
        case: str = ONE,
        accepted: bool = True,
        resalable: bool = True,
        **body: Any,
    ) -> list[Event]:
        lines = [{"line_id": line_id, "quantity": units, "resalable": resalable}]
        return self.do("receive_return", WAREHOUSE, case, lines=lines, accepted=accepted, **body)

    def back(self, units: int = 1, case: str = ONE, freight_fen: int = 0, **received: Any) -> list[Event]:
        """Goods come back: authorised, sent and received."""
        self.authorise(units, case=case, by=LEAD)
        self.send_back(case, freight_fen)
        return self.receive(units, case=case, **received)

    def refund(self, units: int = 1, line_id: str = "L1", case: str = ONE, by: str = AGENT, **body: Any) -> list[Event]:
        return self.do("request_refund", by, case, lines=units_of(units, line_id), **body)

    def settle(
        self, refund: str = "F1", case: str = ONE, unit_cost_fen: int = 60_000, kind: str = "product"
    ) -> list[Event]:
        """The refunds service paid a refund."""
        refunded = r.RefundedLine(
            line_id="L1",
            quantity=1,
            kind=kind,
            unit_cost_fen=unit_cost_fen,
            goods_fen=1,
            compensation_deducted_fen=0,
            price_difference_deducted_fen=0,
            refund_fen=1,
        )
        return self.hear(r.RefundSettled(case_id=case, refund=refund, refund_fen=1, lines=(refunded,), deductions=()))

    def payout(
        self, kind: str, item: str, outcome: str = "succeeded", amount_fen: int = 100, case: str = ONE
    ) -> list[Event]:
        """The refunds service tells of a payout."""
        about: dict[str, Any] = {
            "case_id": case,
            "payout": f"{case}:{kind}:{item}",
            "kind": kind,
            "item": item,
            "amount_fen": amount_fen,
        }
        made: dict[str, Event] = {
            "requested": r.PayoutRequested(**about),
            "succeeded": r.PayoutSucceeded(**about, channel_ref="ALI"),
            "failed": r.PayoutFailed(**about, reason="no"),
            "unknown": r.PayoutUnknown(**about, reason="timeout"),
        }
        return self.hear(made[outcome])

    def close(self, case: str = ONE) -> list[Event]:
        return self.do("close_case", case=case, resolution="好了")

    def unfinished(self, case: str = ONE) -> list[str]:
        """What keeps the case from being closed."""
        refusal = self.refusal("close_case", case=case, resolution="好了")
        assert refusal.code == "unfinished_business"
        return [left["what"] for left in refusal.params["items"]]


def order_body(*lines: Line, **order: Any) -> dict[str, Any]:
    """The body that records order TB1, delivered and under warranty unless it says otherwise."""
    return {
        "order_id": "TB1",
        "channel": "taobao",
        "buyer_id": "buyer-1",
        "ordered_at": (START - timedelta(days=3)).isoformat(),
        "delivered_at": (START - timedelta(days=1)).isoformat(),
        "warranty_months": 12,
        "carrier": "YTO",
        "people": {"operations": "小王"},
        "lines": msgspec.to_builtins(lines or (line(),)),
        **order,
    }


def units_of(units: int, line_id: str = "L1") -> list[dict[str, Any]]:
    return [{"line_id": line_id, "quantity": units}]


def shipping(reshipment: str = "R1", freight_fen: int = 800) -> dict[str, Any]:
    return {"reshipment": reshipment, "carrier": "YTO", "tracking_no": "Y1", "freight_fen": freight_fen}


def _order_of(event: Event) -> str:
    return event.subject.rpartition("-")[0] if isinstance(event, CaseEvent) else event.subject
