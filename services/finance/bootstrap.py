"""The finance service put together."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from contracts.policy import Policy
from contracts.registry import HEARS
from services.finance.domain.domain import AnyFile, FinanceDomain
from services.finance.http import FinanceHttp
from services.finance.measures import DISCREPANCIES, MISPOSTED, UNBALANCED
from services.finance.views import FinanceViews
from services.kernel.clock import Clock
from services.kernel.service import Part, Service, Timer
from services.kernel.settings import Settings

#: The file of an order holds all its postings, so fewer are kept in memory than elsewhere.
CACHED_FILES: Final = 4_000

MEASURES: Final = (UNBALANCED, MISPOSTED, DISCREPANCIES)


class FinanceService:
    """The ledger of after-sales, what channels say of it, and the close of each month."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock) -> None:
        domain = FinanceDomain(policy)
        migrations = Path(__file__).parent / "migrations"
        part = Part(
            domain,
            FinanceViews(),
            migrations,
            HEARS["finance"],
            MEASURES,
            cached_files=CACHED_FILES,
            only_learns=True,
        )
        self.service: Service[AnyFile] = Service(part, settings.database_of(domain.source), clock)
        self.followers = self.service.followers()
        self.timers: Sequence[Timer] = ()
        self._http = FinanceHttp(self.service, settings, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return self._http.routes()

    async def closed(self) -> None:
        """Nothing to let go of."""

    async def let_pass(self, now: datetime) -> None:
        """Nothing is due by time alone."""
