"""One order's file in the books: what its events posted, what happened to its cases, its freight insurance."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from contracts.event import Event
from contracts.events.orders import Order, OrderRecorded
from services.finance.domain.case_facts import CaseFacts
from services.finance.domain.insurance import Insurance
from services.finance.ledger.postings import POSTED, TOLD, Misposted, OrderBook, Posting, postings_of
from services.kernel.decider import Fact

#: Every event that the file of an order is made of.
HEARD: Final[frozenset[type[Event]]] = TOLD | CaseFacts.HEARS | Insurance.HEARS


class OrderBooks:
    """All that the books know of one order, learned from the other services."""

    def __init__(self, order_id: str, external: Collection[str]) -> None:
        """`external`: codes of the parties outside the business."""
        self.order_id = order_id
        self.order: Order | None = None
        self.channel = ""
        """As the first snapshot has it: what was posted once must not move to another account, and months may be closed
        over it. A wrong one is mended by a correction."""
        self.facts = CaseFacts()
        self.insurance = Insurance()
        self.misposted: set[str] = set()
        """Events that contradict themselves, by id: they post nothing, and whoever checks the ledger is told."""
        self._book = OrderBook(external)
        self._postings: dict[str, Sequence[Posting]] = {}

    @property
    def postings(self) -> Mapping[str, Sequence[Posting]]:
        """What each event posted, by its id."""
        return self._postings

    def evolve(self, fact: Fact) -> None:
        """Fold one event, learned from another service."""
        event = fact.event
        if isinstance(event, OrderRecorded):
            self.order = event.order
            self.channel = self.channel or event.order.channel
        if type(event) in POSTED:
            self._post(fact)
        self._book.evolve(event)
        self.facts.evolve(fact)
        self.insurance.evolve(fact)

    def _post(self, fact: Fact) -> None:
        try:
            if postings := postings_of(fact, self._book):
                self._postings[fact.id] = postings
        except Misposted:
            self.misposted.add(fact.id)
