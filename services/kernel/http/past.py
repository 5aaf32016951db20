"""Reading a file over HTTP as it is, or with `?as_of=` as it was."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from services.kernel.decider import F
from services.kernel.explanation import Explanation
from services.kernel.history import AsOf, Point, file_as_of, point_of
from services.kernel.http.openapi import Parameter
from services.kernel.log import Record
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

D = TypeVar("D")

#: What a point in the past is written like.
POINT: Final = (
    "A position of the log of the service that answers, a time with offset, or a day (its end in the shop's time)"
)
AS_OF: Final = Parameter("as_of", str, f"As it was then instead of as it is. {POINT}")


class Seen(NamedTuple, Generic[F]):
    """A file as somebody reads it; `as_of`: of when it is, None for now."""

    file: F
    version: int
    as_of: AsOf | None


class Explained(Explanation, frozen=True):
    """A figure of a case, down to the events. `figure_fen` is what the events say that was decided, `tree` what the
    rules make of the events, `holds` whether it comes to the same, to the fen and in all its parts.

    `log` is the service that explains; the positions of events are those of its log. `as_of`: of when it is, null for
    now.
    """

    as_of: AsOf | None = None


class Document(NamedTuple, Generic[D]):
    """What was made of a file, and the version of it."""

    body: D
    version: int

    @property
    def etag(self) -> str:
        """The version as HTTP writes it."""
        return f'"{self.version}"'


async def asked_point(request: web.Request, service: Service[Any], name: str = "as_of") -> Point | None:
    """The point that a parameter names, None where it is not there; raises `Refusal` `invalid`."""
    asked = request.query.getall(name, [])
    if not asked:
        return None
    if len(asked) > 1:
        raise invalid(name, "unique", "参数重复", "is there twice")
    return await point_of(asked[0], name, service.store, service.clock.now())


async def read_file(
    request: web.Request,
    service: Service[F],
    stream: str,
    make: Callable[[Seen[F]], D | None],
    unknown: Refusal,
) -> Document[D]:
    """What `make` makes of a file as of the point that the request names. It gives None for what is not in the file,
    and keeps nothing of the file itself.

    Raises `unknown` for what is not there at all, `Refusal` `invalid` for what was not there yet.
    """
    point = await asked_point(request, service)
    if point is not None:
        past = await file_as_of(service.part.domain, service.store, stream, point)
        made = make(Seen(past.file, past.version, past.as_of))
        if made is not None:
            return Document(made, past.version)
    async with service.files.reading(stream) as (file, version):
        made = make(Seen(file, version, None))
    if made is None:
        raise unknown
    if point is not None:
        raise not_yet("as_of", point)
    return Document(made, version)


async def read_explanation(
    request: web.Request, service: Service[Any], stream: str, explain: Callable[[Sequence[Record]], Explanation]
) -> Document[Explained]:
    """What `explain` says of the records of a stream as of the point that the request names.

    Raises what `explain` raises for what is not there at all, `Refusal` `invalid` for what was not there yet.
    """
    point = await asked_point(request, service)
    records = await service.store.read_stream(stream)
    if point is None:
        return Document(Explained(**msgspec.structs.asdict(explain(records))), len(records))
    then = list(takewhile(point.holds, records))
    try:
        explanation = explain(then)
    except Refusal:
        explain(records)
        raise not_yet("as_of", point) from None
    as_of = AsOf(point.asked, then[-1].position, then[-1].time)
    return Document(Explained(**msgspec.structs.asdict(explanation), as_of=as_of), len(then))


def not_yet(field: str, point: Point) -> Refusal:
    """What is asked for came later."""
    return invalid(
        field,
        "not_yet",
        f"在 {point.asked} 时它还不存在,请给更晚的时间或位置",
        f"it was not there yet as of {point.asked}; say a later time or position",
    )
