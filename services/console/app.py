"""The console as a web application: the table of its pages, and what they share."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from aiohttp import web

from contracts.policy import Policy
from services.console.api import Api
from services.console.guard import guard
from services.console.page import DESK, Desk
from services.console.pages import (
    approvals,
    case,
    cases,
    finance,
    indicators,
    liability,
    new_case,
    operations,
    order,
    payouts,
    search,
    stock,
)
from services.console.pages.entrance import Entrance
from services.console.pages.first_run import FirstRun, Load
from services.console.pages.work import Work
from services.console.session import Sessions
from services.console.signing_in.links import OneTimeLinks, address
from services.console.signing_in.oidc import Oidc
from services.kernel.clock import Clock
from services.kernel.http.identity import Tokens
from services.kernel.settings import Settings
from services.token_secret import token_secret

#: How long a one-time link lets somebody in.
LINK_LIFE: Final = timedelta(hours=1)


class Console:
    """The pages, to be mounted by `add_pages`."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        clock: Clock,
        tokens: Tokens,
        base_url: Callable[[str, str], str],
        sample: Load | None = None,
    ) -> None:
        """`base_url`: where the API answers requests, by method and path. `sample`: loads a shop to try this with."""
        secret = token_secret(settings)
        sessions = Sessions(secret, secure=settings.console_url.startswith("https://"))
        self._clock = clock
        #: Where a provider says who people are, it alone does.
        self._provider = Oidc(settings, secret) if settings.oidc_issuer else None
        self._links = None if self._provider else OneTimeLinks(secret, clock.now())
        self._first_run = FirstRun(sample)
        self.desk = Desk(Api(base_url, tokens, clock), policy, clock)
        self.app = web.Application(middlewares=[guard(sessions)])
        self.app[DESK] = self.desk
        for pages in (
            Entrance(sessions, self._links, self._provider),
            Work(self._first_run),
            self._first_run,
            approvals,
            cases,
            finance,
            indicators,
            liability,
            new_case,
            payouts,
            search,
            stock,
            operations,
            case,
            order,
        ):
            self.app.add_routes(pages.routes())
        self.app.on_cleanup.append(self._close)

    def link(self, base_url: str, name: str, roles: Sequence[str], valid_for: timedelta = LINK_LIFE) -> str:
        """A link that signs somebody in, once; "" where only a provider does. `base_url`: the console's address."""
        if self._links is None:
            return ""
        return address(base_url, self._links.make(name, roles, self._clock.now(), valid_for))

    async def _close(self, _: web.Application) -> None:
        await self._first_run.close()
        await self.desk.api.close()
        if self._provider is not None:
            await self._provider.close()
