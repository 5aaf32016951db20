"""The services that there are, put together: the one table that every way to run them starts from."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from aiohttp import web

from contracts.policy import Policy
from services.cases.bootstrap import CasesService
from services.finance.bootstrap import FinanceService
from services.kernel.clock import Clock
from services.kernel.service import Follower, Service, Timer
from services.kernel.settings import Settings
from services.liability.bootstrap import LiabilityService
from services.refunds.bootstrap import RefundsService


class Assembly(Protocol):
    """One service put together: its database and files, its routes, who follows logs for it, and its timers."""

    service: Service[Any]

    @property
    def followers(self) -> Sequence[Follower]: ...
    @property
    def timers(self) -> Sequence[Timer]: ...

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""

    async def let_pass(self, now: datetime) -> None:
        """Let happen what is due by `now`."""

    async def closed(self) -> None:
        """Let go of what the service holds besides its database."""


SERVICES: Final[Mapping[str, Callable[[Settings, Policy, Clock], Assembly]]] = {
    "cases": CasesService,
    "refunds": RefundsService,
    "liability": LiabilityService,
    "finance": FinanceService,
}
