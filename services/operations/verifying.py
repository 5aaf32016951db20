"""`verify`: whether a log is what was written, in the background."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import make_url

from contracts.registry import decode
from services.cases.bootstrap import media_of
from services.cases.photos import prove_photos
from services.kernel.event_store import EventStore
from services.kernel.fields import OrderId
from services.kernel.log import NoSuchRange
from services.kernel.long_work import Tell
from services.kernel.proof import Proof, Proven, prove, prove_range, prove_stream
from services.kernel.proof.checkpoint import Progress, keep, kept
from services.kernel.proof.seal import Seal
from services.kernel.proof.workers import workers
from services.kernel.workers import AHEAD, fitting
from services.operations.kind import Options, Work

Position = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Workers = Annotated[int, msgspec.Meta(ge=0, le=64)]

#: The key in the data folder that signs how far a proof came.
KEY: Final = "proof.key"


class Verify(Options, frozen=True, kw_only=True):
    """Whether one order, the orders with events in a range, or the whole log (up to a position) is what was written."""

    order: Annotated[OrderId | None, Meta(description="The history of this order only; not with first or last")] = None
    first: Annotated[Position | None, Meta(description="Only the orders with events from this position on")] = None
    last: Annotated[Position | None, Meta(description="Up to this position; the end of the log unless said")] = None
    photos: Annotated[
        bool,
        Meta(description="Also whether evidence files are those that were recorded; with the whole log of cases only"),
    ] = False
    workers: Annotated[Workers, Meta(description="How many processes share the work; 0: as many as suit it")] = 0

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        if self.order and (self.first or self.last):
            yield "order", "alone", "不能与 first、last 一起用", "does not go together with first and last"
        if self.first and self.last and self.last < self.first:
            yield "last", "range", "不能小于 first", "must not be below first"
        if self.photos and (service != "cases" or self.order):
            yield "photos", "whole", "只能与 cases 的整个日志一起用", "goes with the whole log of cases only"


async def verify(work: Work, options: Verify, tell: Tell) -> dict[str, Any]:
    """Prove it. A proof of the whole log goes on where it was interrupted."""
    proof = await _proof(work, options, tell)
    outcome: dict[str, Any] = {
        "holds": proof.broken is None,
        "position": proof.position,
        "records": proof.records,
        "root": proof.roots[-1].hash if proof.roots else None,
        "broken": msgspec.to_builtins(proof.broken),
    }
    if options.photos and not proof.broken:
        photos = await prove_photos(work.store, media_of(work.settings), decode, tell)
        outcome["photos"] = {"files": photos.files, "damaged": photos.damaged}
        outcome["holds"] = photos.holds
    return outcome


async def _proof(work: Work, options: Verify, tell: Tell) -> Proof:
    store = work.store
    if options.order:
        await tell(0, 1)
        return await prove_stream(store, options.order)
    end = await store.head_position()
    last = options.last or end
    if options.first:
        return await prove_range(store, options.first, last, tell)
    if options.last and last > end:
        raise NoSuchRange(1, last, end)
    return await _whole(work, store, last, options.workers, tell)


async def _whole(work: Work, store: EventStore, last: int, number: int, tell: Tell) -> Proof:
    url = work.settings.database_of(work.service)
    place = make_url(url).render_as_string(hide_password=True)
    file, seal = work.file("proof"), Seal.kept_in(work.settings.data_dir / KEY)
    begun = kept(file, place, seal) or Proven.nothing(last)

    def note(proven: Proven) -> None:
        keep(file, Progress(place, proven), seal)

    number = number or fitting(begun.ends[-1] - begun.records)
    if number == 1:
        proof = await prove(store, begun, tell=tell, note=note)
    else:
        with workers(store, url, number) as by:
            proof = await prove(store, begun, by=by, ahead=number * AHEAD, tell=tell, note=note)
    file.unlink(missing_ok=True)
    return proof
