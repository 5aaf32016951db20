"""The refunds service put together."""

from datetime import datetime
from pathlib import Path

from aiohttp import web

from contracts.policy import Policy
from services.kernel.clock import Clock
from services.kernel.service import Part, Service
from services.kernel.settings import Settings
from services.refunds.cashier import NAME, Cashier
from services.refunds.domain import RefundsDomain
from services.refunds.domain.file import RefundsFile
from services.refunds.gateway import Gateway, ManualGateway, SandboxGateway
from services.refunds.http import RefundsHttp
from services.refunds.views import RefundsViews


class RefundsService:
    """How much the buyer finally gets, and when each payout may leave."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock) -> None:
        domain = RefundsDomain(policy)
        part = Part(domain, RefundsViews(), Path(__file__).parent / "migrations", ("cases",))
        self.service: Service[RefundsFile] = Service(part, settings.data_dir, clock)
        self._ask_every_seconds = settings.ask_every_seconds
        self._gateway = make_gateway(settings)
        self._cashier = Cashier(self.service, domain, self._gateway)
        secret = settings.gateway_secret.get_secret_value()
        self._http = RefundsHttp(self.service, policy, self._cashier, secret)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return self._http.routes()

    async def started(self) -> None:
        """Pay, and ask about payouts without outcome, as long as the service runs."""
        await self.service.add_reader(NAME, self._cashier)
        self.service.every(self._ask_every_seconds, lambda: self.let_pass(self.service.clock.now()))

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
