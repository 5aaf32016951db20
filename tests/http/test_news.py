"""What one service decided, seen from the next request to another."""

from tests.http.server import Server

TRIES = 10


def refunded(server: Server) -> str:
    """A case whose installation line is to be refunded; its id."""
    case = server.case("no_installer", lines=[{"line_id": "S1", "quantity": 1}])
    answer = server.command(f"/v1/cases/{case}/request-refund", {"lines": [{"line_id": "S1", "quantity": 1}]})
    assert answer.status == 200, answer.raw
    return case


def test_a_waiting_list_shows_what_the_last_command_led_to(server: Server) -> None:
    """Finance's worklist holds the payout of a refund that was requested a moment ago, in another service."""
    for _ in range(TRIES):
        case = refunded(server)
        listed = server.get(f"/v1/payouts?case_id={case}&wait=true").body["items"]
        assert [payout["kind"] for payout in listed] == ["refund"]


def test_a_case_closes_as_soon_as_its_payout_is_confirmed(server: Server) -> None:
    """Nobody is told of unfinished business that is finished: the refusal would stick to the request's key."""
    for _ in range(TRIES):
        case = refunded(server)
        server.get(f"/v1/payouts?case_id={case}&wait=true")
        confirmed = {"payout": f"{case}:refund:F1", "status": "succeeded", "channel_ref": "WX-1"}
        assert server.command(f"/v1/cases/{case}/confirm-payout", confirmed, "finance/老钱").status == 200
        closed = server.command(f"/v1/cases/{case}/close-case", {"resolution": "退安装费"})
        assert closed.status == 200, closed.raw
