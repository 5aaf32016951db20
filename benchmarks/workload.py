"""What is measured: commands as a busy day brings them, spread over many orders, each about a case opened before."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

#: Commands about one case: offer, reply, news of the parcel, three times over, as long as a usual case is.
COMMANDS_PER_CASE = 9
#: What a pickup costs, in fen.
PICKUP_FEN = 1200


class Request(msgspec.Struct, array_like=True):
    """One HTTP request as the load generator sends it."""

    method: str
    path: str
    body: str
    key: str


class Load(msgspec.Struct):
    """What a load generator is told: where, who it is, and what each of its clients sends, one after another."""

    host: str
    ports: list[int]
    """Where it listens, or several of its kind do: the clients take turns."""
    token: str
    clients: list[list[Request]]


class Measured(msgspec.Struct):
    """What a load generator saw. `cpu_share` is its own use of a core: near 1 it is what bounds the figure."""

    seconds: float
    requests: int
    refused: int
    latencies_ms: list[float]
    cpu_share: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def order_ids(count: int) -> list[str]:
    """Names of orders that no run used before."""
    run = secrets.token_hex(4)
    return [f"TB{run}{number}" for number in range(count)]


def openings(orders: Sequence[str], problem: str = "logistics_delay") -> Iterator[list[Request]]:
    """For each order: its snapshot, and a case about it."""
    for order_id in orders:
        yield [
            Request("PUT", f"/v1/orders/{order_id}", _json(_order(order_id)), f"o-{order_id}"),
            Request("POST", "/v1/cases", _json(_opening(order_id, problem)), f"c-{order_id}"),
        ]


def commands(orders: Sequence[str], count: int, *, first_round: int = 0) -> list[Request]:
    """`count` commands about the first cases of these orders, a round of three at each order in turn."""
    requests: list[Request] = []
    rounds = first_round
    while len(requests) < count:
        for order_id in orders:
            requests += _round(order_id, rounds)
        rounds += 1
    return requests[:count]


def _round(order_id: str, number: int) -> list[Request]:
    """An agent offers cash, the buyer wants none of it, the agent asks the carrier."""
    proposal = f"P{number + 1}"
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("propose-compensation", {"kind": "cash", "amount_fen": 1000 + number}),
        ("record-buyer-reply", {"proposal": proposal, "accepted": False, "note": "买家不同意, 要求换货"}),
        ("trace-parcel", {"tracking_no": f"YT{order_id}", "status": "快件已到达杭州转运中心, 正在派送"}),
    ]
    return [_command(order_id, name, body, number) for name, body in bodies]


def _command(order_id: str, name: str, body: dict[str, Any], number: int) -> Request:
    return Request("POST", f"/v1/cases/{order_id}-1/{name}", _json(body), f"{name}-{order_id}-{number}")


def losses(orders: Sequence[str], each: int) -> Iterator[list[Request]]:
    """For each order: a case whose cause is known, so that each of the `each` pickups that follow is charged."""
    for order_id, opening in zip(orders, openings(orders, "excess_goods"), strict=True):
        yield [*opening, assessment(order_id), *(pickup(order_id, number) for number in range(each))]


def assessment(order_id: str) -> Request:
    """The command that says who bears the losses of an order's first case."""
    return _command(order_id, "assess-cause", {"cause": "wrong_goods_shipped"}, 0)


def pickup(order_id: str, number: int) -> Request:
    """A command that costs `PICKUP_FEN`."""
    return _command(order_id, "arrange-pickup", {"freight_fen": PICKUP_FEN}, number)


def spread(orders: Sequence[str], clients: int, count: int) -> list[list[Request]]:
    """`count` commands for so many clients, each with orders of its own."""
    return [commands(orders[client::clients], count // clients) for client in range(clients)]


def orders_for(clients: int, count: int) -> int:
    """How many orders `spread` needs, so that no case gets more commands than a usual one."""
    return max(clients, -(-count // COMMANDS_PER_CASE))


def _order(order_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "channel": "taobao",
        "buyer_id": f"b-{order_id}",
        "ordered_at": "2026-01-01T09:00:00+08:00",
        "delivered_at": "2026-01-03T09:00:00+08:00",
        "carrier": "YTO",
        "lines": [
            {
                "line_id": "L1",
                "sku": "LOCK-K7",
                "kind": "product",
                "quantity": 2,
                "paid_fen": 259_800,
                "unit_cost_fen": 60_000,
            },
            {
                "line_id": "L2",
                "sku": "INSTALL",
                "kind": "service",
                "quantity": 1,
                "paid_fen": 12_000,
                "unit_cost_fen": 8_000,
            },
        ],
    }


def _opening(order_id: str, problem: str) -> dict[str, Any]:
    return {"order_id": order_id, "problem": problem, "description": "下单十天还没有收到货, 物流一直不更新"}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
