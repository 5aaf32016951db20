"""`export` and `resend`: events of a log to a file or to a topic, in the background."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contracts.registry import EVENT_TYPES
from services.kernel.fields import Code, Moment, OrderId, Reference
from services.kernel.files import new_id
from services.kernel.kafka.connection import Connection
from services.kernel.log import rfc3339
from services.kernel.long_work import Tell
from services.operations.kind import Options, Work
from services.operations.verifying import Position
from services.transfer.exporting import export as write
from services.transfer.lines import Manifest
from services.transfer.replay import Topic
from services.transfer.resending import Sent, may_send_to
from services.transfer.resending import resend as send
from services.transfer.selection import Selection

Rate = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$(?!\n)", max_length=249)]


class _Chosen(Options, frozen=True, kw_only=True):
    """Which events; everything that is named must hold."""

    case: Annotated[Code | None, Meta(description="Events of this case")] = None
    order: Annotated[OrderId | None, Meta(description="Events of this order")] = None
    types: Annotated[tuple[Code, ...], Meta(description="Events of these types")] = ()
    party: Annotated[
        Reference, Meta(description="Events that name this party, courier/YTO, or any of a kind, courier")
    ] = ""
    since: Annotated[Moment | None, Meta(description="Events that happened then or later")] = None
    until: Annotated[Moment | None, Meta(description="Events that happened then or before")] = None
    first: Annotated[Position | None, Meta(description="Events from this position on")] = None
    last: Annotated[Position | None, Meta(description="Events up to this position")] = None

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        for place, name in enumerate(self.types):
            if name not in EVENT_TYPES:
                yield f"types[{place}]", "one_of", f"没有事件类型 {name}", f"there is no event type {name}"
        if self.first and self.last and self.last < self.first:
            yield "last", "range", "不能小于 first", "must not be below first"
        if self.since and self.until and self.until < self.since:
            yield "until", "range", "不能早于 since", "must not be before since"

    @property
    def selection(self) -> Selection:
        """The same for those who read logs."""
        return Selection(
            case=self.case or "",
            order=self.order or "",
            types=self.types,
            party=self.party,
            since=self.since,
            until=self.until,
            first=self.first or 1,
            last=self.last or 0,
        )


def as_options(selection: Selection) -> dict[str, Any]:
    """A selection as the options of an operation; what says nothing is left out."""
    told: dict[str, Any] = {
        "case": selection.case,
        "order": selection.order,
        "types": list(selection.types),
        "party": selection.party,
        "since": rfc3339(selection.since) if selection.since else None,
        "until": rfc3339(selection.until) if selection.until else None,
        "first": selection.first if selection.first > 1 else None,
        "last": selection.last,
    }
    return {name: value for name, value in told.items() if value}


class Export(_Chosen, frozen=True, kw_only=True):
    """Events to a file that can be downloaded."""

    format: Annotated[Literal["jsonl", "parquet"], Meta(description="What the file is")] = "jsonl"


async def export(work: Work, options: Export, tell: Tell) -> dict[str, Any]:
    """Write the file. It begins anew where it was interrupted: a file is whole or not there."""
    place = work.file(options.format)
    place.unlink(missing_ok=True)  # whole, and nobody lived to tell of it
    manifest = await write(work.store, work.service, options.selection, place, options.format, tell)
    return {"file": place.name, "bytes": place.stat().st_size, **outcome_of(manifest)}


def outcome_of(manifest: Manifest) -> dict[str, Any]:
    """What was exported, in a few figures."""
    return {
        "events": manifest.events,
        "first": manifest.first,
        "last": manifest.last,
        "root": manifest.root,
        "sha256": manifest.sha256,
    }


class Resend(_Chosen, frozen=True, kw_only=True):
    """A service's own events once more to a Kafka topic, with the ids they had, marked as a replay."""

    topic: Annotated[Name, Meta(description="The Kafka topic that they are sent to")]
    everything: Annotated[bool, Meta(description="Yes, the whole log: needed where nothing says which events")] = False
    rate: Annotated[Rate, Meta(description="Events a second at most; 0: as fast as they are taken")] = 200.0
    into_live_topic: Annotated[bool, Meta(description="Yes, into a topic that services hear")] = False

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        yield from super().mistakes(service)
        if self.selection == Selection() and not self.everything:
            yield "everything", "said", "请指明事件,或设为 true 表示全部", "say which events, or that all are meant"


async def resend(work: Work, options: Resend, tell: Tell) -> dict[str, Any]:
    """Send them, marked as a replay. What was interrupted is sent from the beginning again: who had it, skips it."""
    settings, replay = work.settings, new_id()
    # what is told of the resending itself is not meant, and may not be published yet
    selection = msgspec.structs.replace(options.selection, last=options.last or await work.before())
    prefix, live = settings.kafka_prefix, options.into_live_topic
    if not selection.last:
        return {"to": options.topic, "replay": replay, **figures_of(Sent())}
    await may_send_to(options.topic, work.store, work.service, selection, prefix, live)
    target = Topic(Connection.of(settings), options.topic, replay)
    try:
        sent = await send(work.store, work.service, selection, target, options.rate, tell)
    finally:
        await target.close()
    return {"to": options.topic, "replay": replay, **figures_of(sent)}


def figures_of(sent: Sent) -> dict[str, Any]:
    """What was sent: how many events, and the positions of the first and the last."""
    first, last = sent.first, sent.last
    return {"events": sent.events, "first": first and first.position, "last": last and last.position}
