"""Order snapshots, as upstream systems record them (topic `orders.v1`, or `PUT /v1/orders/{order_id}`)."""

from contracts.event import Event, Fen, Moment, Part, Units


class Line(Part, frozen=True, kw_only=True):
    """One line of an order. `paid_fen` is what the buyer paid for the whole line after all discounts."""

    line_id: str
    sku: str
    kind: str
    quantity: Units
    paid_fen: Fen
    unit_cost_fen: Fen

    @property
    def is_service(self) -> bool:
        """A service (installation) has nothing to return and no goods cost."""
        return self.kind == "service"


class FreightInsurance(Part, frozen=True, kw_only=True):
    """运费险: pays the buyer's return freight up to `cover_fen`."""

    payer: str
    cover_fen: Fen


class Order(Part, frozen=True, kw_only=True):
    """An order as the shop sold it. `people` names who may turn out responsible, by party."""

    order_id: str
    channel: str
    buyer_id: str
    ordered_at: Moment
    lines: tuple[Line, ...]
    delivered_at: Moment | None = None
    warranty_months: int = 0
    carrier: str = ""
    people: dict[str, str] = {}
    freight_insurance: FreightInsurance | None = None


class OrderRecorded(Event, frozen=True, kw_only=True, tag="order.recorded"):
    """A snapshot of an order was recorded; a later one replaces it."""

    order: Order

    @property
    def subject(self) -> str:
        return self.order.order_id
