"""The story of the books, in which events tell who caused them."""

from dataclasses import replace
from typing import Any

from contracts.event import Event
from services.finance.domain.books import Books
from services.kernel.decider import Context
from tests.given import Story


class Signed(Story[Books]):
    """For rules that ask for two persons."""

    def _next(self, by: str = "") -> Context:
        context = super()._next(by)
        self.by = str(context.actor)
        return context

    def _fact(self, event: Event, source: str) -> Any:
        return replace(super()._fact(event, source), actor=self.by)
