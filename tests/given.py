"""Given–when–then: runs a domain as the kernel does, without infrastructure; and the facts that tests begin with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events.orders import FreightInsurance, Line, Order, OrderRecorded
from contracts.registry import EVENTS_BY_SOURCE, decode, encode
from services.kernel.actor import Actor
from services.kernel.decider import Context, Domain, File
from services.kernel.refusal import Refusal

F = TypeVar("F", bound=File)

START = datetime(2026, 10, 5, 2, 0, tzinfo=UTC)
#: Follow-ups that never end are a fault of the rules.
ROUNDS_MAX = 100


@dataclass(frozen=True)
class Told:
    """One fact, as a file folds it."""

    event: Event
    time: datetime
    actor: str
    id: str
    source: str


class Story(Generic[F]):
    """One stream of one domain. A minute passes before each thing that happens."""

    def __init__(self, domain: Domain[F], stream: str = "TB1") -> None:
        self.domain = domain
        self.stream = stream
        self.file = domain.new_file(stream)
        self.told: list[Told] = []
        self.now = START

    def given(self, *events: Event) -> "Story[F]":
        """What happened before: events heard from elsewhere with what followed, and own ones as they are."""
        for event in events:
            if type_of(event) in EVENTS_BY_SOURCE[self.domain.source]:
                self._next()
                self._decided([event])
            else:
                self.hear(event)
        return self

    def hear(self, event: Event) -> list[Event]:
        """What follows from another service's event."""
        name = type_of(event)
        assert name in self.domain.hears, f"{self.domain.source} does not hear {name}"
        context = self._next()
        source = next(source for source in EVENTS_BY_SOURCE if name in EVENTS_BY_SOURCE[source])
        fact = self._fact(event, "cases" if source == "orders" else source)
        if name in self.domain.learns:
            self.file.evolve(fact)
            self.told.append(fact)
        return self._run(lambda: self.domain.react(self.file, fact, context), {event.subject}, context)

    def do(self, command: str, case_id: str, by: str = "finance/老钱", /, **body: Any) -> list[Event]:
        """What a command decides; raises `Refusal`, in the order in which the kernel asks."""
        context = self._next(by)
        self.domain.check_known(self.file, case_id, command, body)
        spec = self.domain.commands[command]
        try:
            given = msgspec.convert(body, spec.body)
        except msgspec.ValidationError as error:
            raise Refusal("invalid", reason=str(error)) from error
        if spec.validate is not None:
            spec.validate(self.file, case_id, given, context)
        if context.actor.role not in spec.roles:
            raise Refusal("forbidden", role=context.actor.role)
        return self._run(lambda: spec.decide(self.file, case_id, given, context), {case_id}, context)

    def refusal(self, command: str, case_id: str, by: str = "finance/老钱", /, **body: Any) -> str:
        """The code with which a command is refused; it must change nothing."""
        before = len(self.told)
        try:
            events = self.do(command, case_id, by, **body)
        except Refusal as refusal:
            assert len(self.told) == before
            return refusal.code
        raise AssertionError(f"{command} was not refused but gave {events}")

    def decide(self, decision: Callable[[F, Context], Sequence[Event]], case_id: str) -> list[Event]:
        """What a decision of the system itself gives."""
        context = self._next()
        return self._run(lambda: decision(self.file, context), {case_id}, context)

    def replayed(self) -> F:
        """The state that the same facts fold to from the beginning."""
        file = self.domain.new_file(self.stream)
        for fact in self.told:
            file.evolve(fact)
        return file

    def _run(self, first: Callable[[], Sequence[Event]], case_ids: set[str], context: Context) -> list[Event]:
        decided = self._decided(first())
        for _ in range(ROUNDS_MAX):
            case_ids |= {event.subject for event in decided}
            events = self._decided(self.domain.follow_ups(self.file, {}, case_ids, context))
            if not events:
                return decided
            decided += events
        raise AssertionError("follow-ups never end")

    def _decided(self, events: Sequence[Event]) -> list[Event]:
        for event in events:
            assert decode(type_of(event), event.schema_version, encode(event)) == event
            fact = self._fact(event, self.domain.source)
            self.file.evolve(fact)
            self.told.append(fact)
        return list(events)

    def _fact(self, event: Event, source: str) -> Told:
        return Told(event, self.now, f"system/{source}", f"{source}-{self.now:%H%M%S}-{len(self.told)}", source)

    def _next(self, by: str = "") -> Context:
        self.now += timedelta(minutes=1)
        return Context(self.now, Actor.parse(by) if by else Actor("system", self.domain.source))


def line(
    line_id: str = "L1", quantity: int = 1, paid_fen: int = 129_900, unit_cost_fen: int = 60_000, kind: str = "product"
) -> Line:
    """A line of an order."""
    return Line(
        line_id=line_id,
        sku=f"SKU-{line_id}",
        kind=kind,
        quantity=quantity,
        paid_fen=paid_fen,
        unit_cost_fen=unit_cost_fen,
    )


def order(*lines: Line, insured: bool = False) -> OrderRecorded:
    """The snapshot of order TB1."""
    return OrderRecorded(
        order=Order(
            order_id="TB1",
            channel="taobao",
            buyer_id="buyer-1",
            ordered_at=START,
            lines=lines or (line(),),
            freight_insurance=FreightInsurance(payer="merchant", cover_fen=1_200) if insured else None,
        )
    )


def opened(case_id: str = "TB1-1", channel_refund_id: str = "") -> c.CaseOpened:
    """A case of order TB1."""
    return c.CaseOpened(
        case_id=case_id,
        order_id="TB1",
        problem="return_request",
        lines=(c.LineQuantity(line_id="L1", quantity=1),),
        description="不喜欢",
        channel_refund_id=channel_refund_id,
    )


def compensated(
    amount_fen: int, kind: str = "cash", case_id: str = "TB1-1", proposal: str = "P1", **lines: int
) -> c.CompensationPaid:
    """Compensation that was paid, on line L1 unless amounts by line are given."""
    return c.CompensationPaid(
        case_id=case_id,
        proposal=proposal,
        kind=kind,
        amount_fen=amount_fen,
        allocation=tuple(
            c.LineAmount(line_id=line_id, amount_fen=part) for line_id, part in (lines or {"L1": amount_fen}).items()
        ),
        payment_ref=f"ALI-{proposal}",
    )


def came_back(
    return_id: str = "RT1",
    *,
    freight_fen: int = 0,
    borne_by: str = "merchant",
    accepted: bool = True,
    resalable: bool = True,
    units: int = 1,
    case_id: str = "TB1-1",
) -> c.ReturnReceived:
    """Units of line L1 that the warehouse received."""
    return c.ReturnReceived(
        case_id=case_id,
        return_id=return_id,
        accepted=accepted,
        lines=(c.ReceivedLine(line_id="L1", quantity=units, resalable=resalable, unit_cost_fen=60_000),),
        freight_fen=freight_fen,
        freight_borne_by=borne_by,
    )
