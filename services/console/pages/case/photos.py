"""Photos and short films of a case: shown, and taken in."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp.web import FileField

from services.console import forms
from services.console.api import ApiRefused
from services.console.page import actor, desk, go, send
from services.console.pages.case.bodies import typed
from services.console.pages.case.page import show
from services.console.pages.case.reading import case_path, the_case

#: Types that a browser may show inside a page; others are downloads.
_SHOWN: Final = ("image/jpeg", "image/png", "image/webp", "video/mp4", "video/webm")
_FILES_MOST: Final = 20


class NotTaken(NamedTuple):
    """A file that was refused: its name, and why."""

    name: str
    refused: ApiRefused


async def file(request: web.Request) -> web.StreamResponse:
    """A file of a case, passed on from the API as the person asks for it."""
    sha256 = request.match_info["sha256"]
    async with desk(request).api.stream(actor(request), f"/v1/files/{sha256}") as answer:
        shown = answer.content_type in _SHOWN
        response = web.StreamResponse(
            headers={
                "Content-Type": answer.content_type if shown else "application/octet-stream",
                "Content-Disposition": "inline" if shown else "attachment",
                "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=31536000, immutable",
            }
        )
        if answer.content_length is not None:
            response.content_length = answer.content_length
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(1 << 16):
            await response.write(chunk)
    await response.write_eof()
    return response


async def take(request: web.Request) -> web.Response:
    """Take files in, and submit each as evidence."""
    case_id = request.match_info["case_id"]
    posted = await request.post()
    kind = typed(posted, "kind")
    files = [one for one in posted.getall("file", []) if isinstance(one, FileField) and one.filename][:_FILES_MOST]
    not_taken = []
    for number, one in enumerate(files):
        try:
            await _take(request, case_id, kind, one, f"-{number}")
        except ApiRefused as refused:
            not_taken.append(NotTaken(one.filename, refused))
    if files and not not_taken:
        return go(f"/console/cases/{case_id}", done="submit_evidence")
    upload: Mapping[str, Any] = {
        "kind": kind,
        "not_taken": not_taken,
        "taken": len(files) - len(not_taken),
        "errors": {} if files else {"file": forms.REQUIRED},
    }
    case = await the_case(request, case_id)
    status = not_taken[0].refused.status if not_taken else 422
    return show(request, case, status, upload=upload)


async def _take(request: web.Request, case_id: str, kind: str, one: FileField, part: str) -> None:
    """Store a file and submit it. A file is stored once, however often it is sent."""
    key = f"console-{typed(await request.post(), 'key')}{part}-file"
    content = one.file.read()
    headers = {"Content-Type": "application/octet-stream"}
    stored = await desk(request).api.send(actor(request), "/v1/files", content, key=key, headers=headers)
    body = {"kind": kind, "file": stored["file"]}
    await send(request, f"{case_path(case_id)}/submit-evidence", body, part=part)
