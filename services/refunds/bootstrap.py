"""The refunds service put together."""

from datetime import datetime
from pathlib import Path

from aiohttp import web

from contracts.policy import Policy
from contracts.registry import HEARS
from services.kernel.clock import Clock
from services.kernel.service import Follower, Part, Service, Timer
from services.kernel.settings import Settings
from services.refunds.cashier import NAME, Cashier
from services.refunds.domain import RefundsDomain
from services.refunds.domain.file import RefundsFile
from services.refunds.gateway import Gateway, ManualGateway, SandboxGateway
from services.refunds.http import RefundsHttp
from services.refunds.measures import PAYOUTS
from services.refunds.views import RefundsViews


class RefundsService:
    """How much the buyer finally gets, and when each payout may leave."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock) -> None:
        domain = RefundsDomain(policy)
        part = Part(domain, RefundsViews(), Path(__file__).parent / "migrations", HEARS["refunds"], (PAYOUTS,))
        self.service: Service[RefundsFile] = Service(part, settings.database_of(domain.source), clock)
        self._gateway = make_gateway(settings)
        self._cashier = Cashier(self.service, domain, self._gateway)
        self.followers = (*self.service.followers(), Follower(NAME, domain.source, self._cashier))
        self.timers = (Timer(settings.ask_every_seconds, lambda: self.let_pass(clock.now())),)
        secret = settings.gateway_secret.get_secret_value()
        self._http = RefundsHttp(self.service, policy, self._cashier, secret)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return self._http.routes()

    async def closed(self) -> None:
        """Let go of the gateway."""
        await self._gateway.close()

    async def let_pass(self, now: datetime) -> None:
        """Ask about payouts that are without outcome for a while."""
        await self._cashier.ask_open(now)


def make_gateway(settings: Settings) -> Gateway:
    """The gateway that the settings name."""
    if settings.gateway == "manual":
        return ManualGateway()
    return SandboxGateway(
        settings.gateway_url,
        settings.gateway_secret.get_secret_value(),
        timeout_seconds=settings.gateway_timeout_seconds,
    )
