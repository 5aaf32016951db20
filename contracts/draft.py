"""A first example of a new event type, in the shop's words, for its author to look over."""

from typing import Any

from contracts.compatibility import Schema, plain

#: Values by field name, or by its ending.
_VALUES: dict[str, Any] = {
    "case_id": "TB1001-1",
    "order_id": "TB1001",
    "buyer_id": "buyer-1001",
    "line_id": "L1",
    "sku": "LOCK-A1",
    "proposal": "P1",
    "reshipment": "R1",
    "refund": "F1",
    "return_id": "RT1",
    "deposit": "D1",
    "charge": "B1",
    "evidence": "E1",
    "payout": "TB1001-1:refund:F1",
    "party": "courier/YTO",
    "carrier": "YTO",
    "tracking_no": "YT1001",
    "payment_ref": "ALI-1",
    "reason": "客户要求",
    "channel": "wechat",
    "currency": "CNY",
    "month": "2026-10",
    "correction": "K1",
    "account": "losses",
    "owner": "finance/小周",
}
_ENDINGS = {"_fen": 2000, "_bp": 10000, "_at": "2026-10-05T10:00:00+08:00"}
#: Values by the form that a text must have.
_FORMS = {"^[0-9a-f]{64}$": "5e" * 32, r"^\d{4}-\d{2}-\d{2}$": "2026-10-05", r"^\d{4}-\d{2}$": "2026-10"}


def draft(document: Schema) -> dict[str, Any]:
    """The smallest body that a schema takes: its required fields."""
    return dict(_value("", plain(document)))


def _value(name: str, node: Schema) -> Any:
    if "enum" in node:
        return node["enum"][0]
    if "anyOf" in node:
        return _value(name, node["anyOf"][0])
    kind = node.get("type")
    if kind == "object":
        return {field: _value(field, node["properties"][field]) for field in node.get("required", ())}
    if kind == "array":
        return [_value(name, node.get("items", {}))]
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return next(
            (value for ending, value in _ENDINGS.items() if name.endswith(ending)),
            max(1, node.get("minimum", 1)),
        )
    if node.get("format") == "date-time" or name.endswith("_at"):
        return _ENDINGS["_at"]
    return _FORMS.get(node.get("pattern", "")) or _VALUES.get(name, name)
