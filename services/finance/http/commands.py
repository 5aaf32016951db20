"""The handler of a command about the books."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.finance.domain.books import BOOKS
from services.kernel.http.commands import CommandDesk, Target
from services.kernel.http.openapi import Operation, describe


def books_command(desk: CommandDesk, name: str, told: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Takes a command at a desk; what it is about, its address says. `told` describes it."""

    @describe(told)
    async def take(request: web.Request) -> web.Response:
        return await desk.take(request, name, lambda _: Target(BOOKS, fields=dict(request.match_info)))

    return take
