"""An example of every command of the cases service, for its description."""

from collections.abc import Mapping
from typing import Any

_LINES = [{"line_id": "L1", "quantity": 1}]

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "record_order": {
        "order_id": "TB1001",
        "channel": "taobao",
        "buyer_id": "buyer-1001",
        "ordered_at": "2026-10-01T09:00:00+08:00",
        "delivered_at": "2026-10-03T15:00:00+08:00",
        "warranty_months": 24,
        "carrier": "YTO",
        "lines": [
            {
                "line_id": "L1",
                "sku": "LOCK-A1",
                "kind": "product",
                "quantity": 2,
                "paid_fen": 259800,
                "unit_cost_fen": 60000,
            }
        ],
    },
    "open_case": {
        "order_id": "TB1001",
        "problem": "damaged_on_arrival",
        "description": "面板有裂纹",
        "lines": _LINES,
    },
    "report_stock": {"quantity": 20},
    "erase_personal_data": {"order_id": "TB1001", "reason": "买家要求删除个人信息"},
    "reclassify": {"problem": "return_request", "reason": "quality"},
    "assign_case": {"to": "小李"},
    "submit_evidence": {"kind": "photo", "file": "0" * 64},
    "review_evidence": {"evidence": "E1", "accepted": True},
    "assess_cause": {"cause": "transit_damage", "party_name": "YTO"},
    "give_guidance": {"topic": "安装视频"},
    "contact_installer": {"action": "urge"},
    "trace_parcel": {"tracking_no": "YT1001", "status": "派送中"},
    "arrange_pickup": {"freight_fen": 1200},
    "propose_compensation": {"kind": "cash", "amount_fen": 2000},
    "approve": {"proposal": "P1"},
    "decline_approval": {"proposal": "P1", "reason": "金额过高"},
    "record_buyer_reply": {"proposal": "P1", "accepted": True},
    "pay_compensation": {"proposal": "P1", "payment_ref": "ALI-1"},
    "withdraw_proposal": {"proposal": "P1", "reason": "改为换货"},
    "charge_buyer": {"amount_fen": 5000, "purpose": "配件"},
    "record_buyer_payment": {"payment_ref": "ALI-2"},
    "order_reshipment": {
        "items": [{"sku": "LOCK-A1", "quantity": 1, "unit_cost_fen": 60000}],
        "trigger": "on_receipt",
    },
    "ship_reshipment": {"reshipment": "R1", "carrier": "YTO", "tracking_no": "YT1002", "freight_fen": 1500},
    "confirm_delivery": {"reshipment": "R1"},
    "cancel_reshipment": {"reshipment": "R1", "reason": "买家改为退款"},
    "request_deposit": {"amount_fen": 10000},
    "record_deposit": {"payment_ref": "ALI-3"},
    "forfeit_deposit": {"reason": "旧货未退回"},
    "authorise_return": {"lines": _LINES},
    "ship_return": {"carrier": "YTO", "tracking_no": "YT1003", "freight_fen": 1500},
    "receive_return": {"lines": [{"line_id": "L1", "quantity": 1, "resalable": True}], "accepted": True},
    "cancel_return": {"reason": "买家不退了"},
    "record_insurance_result": {"result": "paid", "amount_fen": 1200},
    "request_refund": {"lines": _LINES},
    "escalate": {"role": "team_lead", "reason": "买家要求升级"},
    "report_issue": {"department": "品质部", "summary": "同批次三起"},
    "record_finding": {"finding": "确认为批次问题"},
    "close_case": {"resolution": "已补偿并安抚"},
    "reopen_case": {"reason": "又出现同样问题"},
    "follow_up": {"note": "买家满意"},
    "invite_review": {},
    "rate": {"score": 5},
}
