"""What `aftersales verify` does to one service's log: which proof is asked for, and what came of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contracts.registry import decode
from services.cases.bootstrap import media_of
from services.cases.photos import PhotosProof, prove_photos
from services.cli.database import opened, place_of
from services.cli.operated import operated
from services.kernel.clock import clock_of
from services.kernel.event_store import EventStore
from services.kernel.log import NoSuchRange
from services.kernel.long_work import Tell
from services.kernel.proof import BrokenLink, Proof, Proven, prove, prove_range, prove_stream
from services.kernel.proof.checkpoint import Progress, ProgressInvalid, SignedRoot, compared, keep, kept, write
from services.kernel.proof.proving import note_nothing
from services.kernel.proof.seal import Seal
from services.kernel.proof.workers import workers
from services.kernel.settings import Settings
from services.kernel.workers import AHEAD, fitting


class Sealed(NamedTuple):
    """A folder for files that are signed."""

    folder: Path
    seal: Seal


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which proof, and who wants it. `workers` 0: as many as suit the log."""

    order: str = ""
    first: int | None = None
    last: int | None = None
    workers: int = 0
    resume: Sealed | None = None
    checkpoint: Sealed | None = None
    against: Sequence[SignedRoot] = ()
    photos: bool = False
    by: str = ""
    reason: str = ""

    def options(self, service: str) -> dict[str, Any]:
        """What is asked of one service, as it is told of in its log."""
        told = {
            "order": self.order,
            "first": self.first,
            "last": self.last,
            "workers": self.workers,
            "photos": self.photos and service == "cases",
            "resume": str(self.resume.folder) if self.resume else "",
            "checkpoint": str(self.checkpoint.folder) if self.checkpoint else "",
            "against": [one.position for one in self.against if one.service == service],
        }
        return {name: value for name, value in told.items() if value}


class ServiceProof(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: `records` were checked, up to `position`. `streams` and `root` where the whole log was."""

    service: str
    position: int
    records: int
    broken: BrokenLink | None
    streams: int | None
    root: str | None
    checkpoint: str | None
    photos: PhotosProof | None

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None and (self.photos is None or self.photos.holds)


async def proved(settings: Settings, service: str, asked: Asked, *, shown: bool) -> ServiceProof:
    """Prove the log of a service; a bar is `shown` to people. Raises `Failure` and the errors of proofs."""
    media = media_of(settings) if asked.photos and service == "cases" else None
    options = asked.options(service)
    async with (
        operated(
            settings,
            service,
            "verify",
            by=asked.by,
            reason=asked.reason,
            options=options,
            title=service,
            shown=shown,
        ) as work,
        opened(settings, service) as store,
    ):
        proof = await _Prover(store, settings, service, asked).proof(work)
        file, photos = None, None
        if asked.checkpoint and proof.roots and not proof.broken:
            today = clock_of(settings).now().date()
            file = str(write(asked.checkpoint.folder, service, today, proof.roots[-1], asked.checkpoint.seal))
        if media and not proof.broken:
            photos = await prove_photos(store, media, decode, work)
        done = _summed_up(service, proof, file, photos)
        work.outcome = {
            "holds": done.holds,
            "position": done.position,
            "records": done.records,
            "root": done.root,
            "broken": msgspec.to_builtins(done.broken),
        }
    return done


def _summed_up(service: str, proof: Proof, file: str | None, photos: PhotosProof | None) -> ServiceProof:
    root = proof.roots[-1] if proof.roots else None
    return ServiceProof(
        service=service,
        position=proof.position,
        records=proof.records,
        broken=proof.broken,
        streams=root.streams if root else None,
        root=root.hash if root else None,
        checkpoint=file,
        photos=photos,
    )


class _Prover:
    def __init__(self, store: EventStore, settings: Settings, service: str, asked: Asked) -> None:
        self._store = store
        self._url = settings.database_of(service)
        self._place = place_of(settings, service)
        self._service = service
        self._asked = asked

    async def proof(self, tell: Tell) -> Proof:
        asked = self._asked
        if asked.order:
            return await prove_stream(self._store, asked.order)
        end = await self._store.head_position()
        last = end if asked.last is None else asked.last
        if asked.first is not None:
            return await prove_range(self._store, asked.first, last, tell)
        if asked.last is not None and not 1 <= last <= end:
            raise NoSuchRange(1, last, end)
        signed = [one for one in asked.against if one.service == self._service]
        wanted = Proven.nothing(*(one.position for one in signed if one.position <= end), last)
        proof = await (self._resumed(asked.resume, wanted, tell) if asked.resume else self._whole(wanted, tell))
        if proof.broken:
            return proof
        differing = (compared(one, proof.position, proof.roots) for one in signed)
        return msgspec.structs.replace(proof, broken=next((one for one in differing if one), None))

    async def _resumed(self, resume: Sealed, wanted: Proven, tell: Tell) -> Proof:
        """Go on where a proof was left, if one was. How far it came is signed: nobody else can say so."""
        resume.folder.mkdir(parents=True, exist_ok=True)
        file = resume.folder / f"{self._service}.proof"
        begun = kept(file, self._place, resume.seal) or wanted
        asked_for = {*wanted.ends[:-1], *([] if self._asked.last is None else wanted.ends)}
        if not asked_for <= {*begun.ends}:
            raise ProgressInvalid(file, f"it was begun for positions {', '.join(map(str, begun.ends))}")
        proof = await self._whole(begun, tell, lambda proven: keep(file, Progress(self._place, proven), resume.seal))
        if not proof.broken:
            file.unlink(missing_ok=True)
        return proof

    async def _whole(self, begun: Proven, tell: Tell, note: Callable[[Proven], None] = note_nothing) -> Proof:
        number = self._asked.workers or fitting(begun.ends[-1] - begun.records)
        if number == 1:
            return await prove(self._store, begun, tell=tell, note=note)
        with workers(self._store, self._url, number) as by:
            return await prove(self._store, begun, by=by, ahead=number * AHEAD, tell=tell, note=note)
