"""The liability service put together."""

from datetime import datetime
from pathlib import Path

from aiohttp import web

from contracts.policy import Policy
from contracts.registry import HEARS
from services.kernel.clock import Clock
from services.kernel.service import Part, Service, Timer
from services.kernel.settings import Settings
from services.liability.domain import LiabilityDomain
from services.liability.domain.file import LiabilityFile
from services.liability.http import LiabilityHttp
from services.liability.measures import SUSPENSE
from services.liability.views import LiabilityViews


class LiabilityService:
    """Which party bears which loss, and what was recovered from it."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock) -> None:
        domain = LiabilityDomain(policy)
        part = Part(domain, LiabilityViews(), Path(__file__).parent / "migrations", HEARS["liability"], (SUSPENSE,))
        self.service: Service[LiabilityFile] = Service(part, settings.database_of(domain.source), clock)
        self.followers = self.service.followers()
        self.timers: tuple[Timer, ...] = ()
        self._http = LiabilityHttp(self.service, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return self._http.routes()

    async def closed(self) -> None:
        """Nothing to let go of."""

    async def let_pass(self, now: datetime) -> None:
        """Nothing is due by time alone."""
