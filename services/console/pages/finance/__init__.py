"""The pages of finance."""

from aiohttp import web

from services.console.pages.finance import (
    bills,
    corrections,
    discrepancies,
    exports,
    mappings,
    overview,
    periods,
    reconciliation,
    statements,
)


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    subjects = (overview, bills, mappings, reconciliation, discrepancies, corrections, statements, periods, exports)
    return [route for subject in subjects for route in subject.routes()]
