"""The policy says what domain.md says, a shop can change it, and every mistake in it is told at once."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from contracts.policy import Group, PolicyInvalid, Remedy, Text, load_policy, load_policy_file, load_policy_text

# domain.md §2: problem, group, 中文, E, remedies in order
PROBLEMS = """
installation_help     | installation | 安装/拆卸        |   | guide, compensate
installer_no_show     | installation | 师傅不上门     |   | contact_installer, refund_service_line, compensate
no_installer          | installation | 无师傅           |   | refund_service_line
installer_price_dispute | installation | 自找师傅价格过高 |   | compensate
home_delivery         | receiving    | 送货上门         |   | trace_parcel, compensate
missing_product       | receiving    | 少成品           |   | trace_parcel, reship, refund
missing_accessory     | receiving    | 少配件           | E | reship, compensate
excess_goods          | receiving    | 多发             |   | arrange_pickup
wrong_product         | receiving    | 成品发错         | E | reship, return, refund, compensate
wrong_accessory       | receiving    | 配件发错         | E | reship, compensate
damaged_on_arrival    | receiving    | 破损/瑕疵        | E | compensate, exchange, return, refund
scratch_on_arrival    | receiving    | 刚收到有划痕     | E | compensate, exchange, return, refund
scratch_after_use     | usage        | 使用后划痕       | E | guide, compensate, discounted_exchange
accessory_failure     | usage        | 使用中配件问题   | E | guide, compensate, reship, sell_accessory
size_deviation        | concern      | 尺寸             |   | compensate, report, return
function_preference   | concern      | 功能·主观        |   | guide, compensate, return
function_defect       | concern      | 功能·质量        | E | report, compensate, exchange, return
service_attitude      | concern      | 服务感受         |   | compensate, report
logistics_delay       | concern      | 物流/迟到        |   | trace_parcel, compensate, refund
parcel_confiscated    | concern      | 安检没收         |   | trace_parcel, reship, refund, compensate
bad_review_threat     | concern      | 差评威胁         |   | compensate
exchange_request      | return       | 换货             |   | return, reship, compensate
return_request        | return       | 退货             |   | return, refund, compensate
handover              | return       | 售前售后交接     |   | reship, report
"""

# domain.md §5: party, whether it is named, its causes
CAUSES = """
production       |       | accessory_defective packing_error accessory_failed_in_use
warehouse        |       | wrong_goods_shipped duplicate_waybill
courier          | named | transit_damage lost_in_transit confiscated
purchasing       |       | supply_delay
operations       | named | page_mismatch operations_mistake
customer_service | named | procedure_not_followed
order_printer    | named | order_review_late order_entry_mistake
supplier         | named | supplier_mismatch
installer        | named | installer_failed
none             |       | buyer_changed_mind human_caused goodwill
"""

# domain.md §3 to §6, and what HTTP refuses
REFUSALS = """
unknown_order unknown_case unknown_line unknown_item invalid_transition invalid shares_not_whole
party_name_required forbidden self_approval remedy_not_allowed evidence_required cause_required
exceeds_quantity exceeds_paid exceeds_charged authority_exceeded already_paid approval_required not_released
return_carrier_refused return_not_accepted return_not_received unfinished_business payout_not_failed
version_conflict idempotency_key_missing idempotency_key_reused request_in_progress unauthenticated
not_found method_not_allowed internal unavailable upload_too_large upload_unsupported upload_broken
legs_unbalanced unknown_correction own_correction unknown_discrepancy unknown_run nothing_to_reconcile
discrepancy_closed discrepancy_claimed month_not_over period_closed period_open earlier_month_open
nothing_posted books_unbalanced opening_differs orders_unheard log_broken bill_unsound bill_empty
bill_contradicts bill_of_other_merchant bill_import_running mapping_unsound unknown_bill unknown_mapping
period_not_prepared own_preparation period_changed
"""

# domain.md §6, and the order that an upstream system sends
COMMANDS = """
open_case reclassify assign_case submit_evidence review_evidence assess_cause give_guidance contact_installer
trace_parcel arrange_pickup propose_compensation approve decline_approval record_buyer_reply pay_compensation
withdraw_proposal charge_buyer record_buyer_payment order_reshipment ship_reshipment confirm_delivery
cancel_reshipment request_deposit record_deposit forfeit_deposit authorise_return ship_return receive_return
cancel_return record_insurance_result request_refund escalate report_issue record_finding close_case
reopen_case follow_up invite_review rate confirm_payout retry_payout report_stock assign_liability
record_recovery record_order erase_personal_data
import_bill save_mapping reconcile assign_discrepancy propose_correction approve_correction decline_correction
prepare_period close_period
"""
EVENTS = """
case.opened promise.made promise.broken case.reclassified case.assigned evidence.submitted evidence.accepted
evidence.rejected cause.assessed guidance.given installer.contacted parcel.traced pickup.arranged
compensation.proposed approval.requested approval.granted approval.declined compensation.accepted
compensation.declined compensation.paid compensation.withdrawn buyer.charged buyer.paid reshipment.requested
reshipment.released reshipment.backordered reshipment.shipped reshipment.delivered reshipment.cancelled
deposit.requested deposit.collected deposit.forfeited deposit.returned return.authorised return.shipped
return.received return.cancelled insurance.paid insurance.failed refund.requested refund.calculated
payout.requested payout.succeeded payout.failed payout.unknown exception.raised return_freight.reimbursed refund.settled
case.escalated issue.reported finding.recorded case.closed case.reopened follow_up.recorded review.invited
case.rated personal_data.erased liability.assigned loss.charged loss.reversed loss.recovered order.recorded
stock.reported stock.reserved stock.awaited stock.freed settlement.updated loss.recorded liability.determined
operation.started operation.paused operation.resumed operation.cancelled operation.finished operation.failed
mapping.saved bill.imported books.reconciled discrepancy.found discrepancy.assigned discrepancy.closed
correction.proposed correction.approved correction.declined period.prepared period.closed
"""


def rows(table: str) -> Iterator[list[str]]:
    for line in table.strip().splitlines():
        yield [cell.strip() for cell in line.split("|")]


def refused(override: dict[str, Any]) -> dict[str, Text]:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(override)
    return {mistake.path: mistake.message for mistake in caught.value.mistakes}


def test_problems_are_those_of_the_domain() -> None:
    """Guards group, Chinese name, evidence mark and remedies of every problem, and that there is no other."""
    problems = load_policy().problems
    assert list(problems) == [code for code, *_ in rows(PROBLEMS)]
    for code, group, name, mark, remedies in rows(PROBLEMS):
        problem = problems[code]
        assert (problem.group, problem.name.zh, problem.evidence) == (group, name, mark == "E"), code
        assert list(problem.remedies) == remedies.split(", "), code


def test_every_problem_guides_its_agent() -> None:
    """Protects agents from an empty case page: each problem has steps, questions and two to four phrases."""
    for code, problem in load_policy().problems.items():
        assert problem.steps, code
        assert problem.questions, code
        assert 2 <= len(problem.phrases) <= 4, code


def test_both_languages_are_what_they_claim_to_be() -> None:
    """Catches a Chinese text without Chinese, an English one with it, and slips of the keyboard."""

    def texts(value: Any, path: str) -> Iterator[tuple[str, dict[str, str]]]:
        if isinstance(value, dict) and value.keys() == {"zh", "en"}:
            yield path, value
        elif isinstance(value, dict | tuple):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from texts(item, f"{path}.{key}")

    found = list(texts(msgspec.to_builtins(load_policy()), ""))
    assert len(found) > 400
    for path, text in found:
        assert re.search(r"[\u4e00-\u9fff]", text["zh"]), path
        assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text["en"]), path
        assert all(said == said.strip() and "  " not in said for said in text.values()), path


def test_causes_are_those_of_the_domain() -> None:
    """Guards which party bears which cause, whether it is named, and who pays return freight."""
    policy = load_policy()
    causes = {cause: (party, named == "named") for party, named, all_ in rows(CAUSES) for cause in all_.split()}
    assert {code: (cause.party, cause.named) for code, cause in policy.causes.items()} == causes
    assert {code: party.named for code, party in policy.parties.items()} == dict(causes.values())
    buyers = {code for code, cause in policy.causes.items() if cause.freight == "buyer"}
    assert buyers == {"buyer_changed_mind", "human_caused"}


def test_claims_are_collected_outside_only() -> None:
    """Guards from whom money can be recovered."""
    external = {code for code, party in load_policy().parties.items() if party.external}
    assert external == {"courier", "supplier", "installer"}


def test_figures_are_those_of_the_domain() -> None:
    """Guards limits in fen, promised hours, deposit, refused carriers and return reasons."""
    policy = load_policy()
    authority = {"agent": 2000, "team_lead": 10000, "store_manager": 50000, "good_review_reward": 1000}
    assert msgspec.to_builtins(policy.authority) == authority
    assert (policy.promise.first_answer_hours, policy.promise.solution_hours) == (2, 72)
    assert (policy.deposit_fen, policy.refused_carriers) == (10000, ("SF",))
    reasons = ["no_reason_7_days", "quality", "appearance_mismatch", "not_as_described"]
    assert list(policy.return_reasons) == reasons


def test_every_code_has_its_text() -> None:
    """Protects people from bare codes: every refusal, command, event, group and remedy is worded."""
    texts = load_policy().texts
    assert set(texts.refusals) == set(REFUSALS.split())
    assert set(texts.commands) == set(COMMANDS.split())
    assert set(texts.events) == set(EVENTS.split())
    assert set(texts.groups) == set(Group)
    assert set(texts.remedies) == set(Remedy)


@pytest.mark.parametrize("code", REFUSALS.split())
def test_refusal_without_params_is_a_whole_sentence(code: str) -> None:
    """Protects the error answer: a missing param neither fails nor leaves a hole in the message."""
    text = load_policy().refusal_text(code, {})
    for message in (text.zh, text.en):
        assert message
        assert not re.search(r"[{}\[\]…]|  | [.,;:)]|\( ", message)


def test_refusal_shows_names_money_and_lists() -> None:
    """People read names and yuan in their own language, not codes and fen."""
    policy = load_policy()
    above = policy.refusal_text("authority_exceeded", {"role": "team_lead", "limit_fen": 1000005})
    assert "超出权限(上限 10000.05 元)" in above.zh
    assert "或由组长处理" in above.zh
    assert "above the authority (10000.05 yuan)" in above.en
    still = policy.refusal_text(
        "unfinished_business", {"open": ["reshipment_open/R1", "freight_waiting", "something new"]}
    )
    assert "未签收或取消的补发 R1、未结清的退回运费、something new" in still.zh
    assert "unfinished reshipment R1, return freight not settled, something new" in still.en
    remedy = policy.refusal_text("remedy_not_allowed", {"remedy": "reship", "problem": "damaged_on_arrival"})
    assert "(“补发”)不适用于此问题(“破损/瑕疵”)" in remedy.zh
    assert "快递 YTO" in policy.refusal_text("exceeds_charged", {"party": "courier/YTO", "left_fen": 0}).zh
    assert "the buyer paid (0.00 yuan)" in policy.refusal_text("exceeds_paid", {"paid_fen": 0}).en
    assert policy.refusal_text("unfinished_business", {"open": []}).zh == "还有事项未办完。请办完后再完结。"
    reason = Text(zh="不是整数", en="not a whole number")
    assert "not a whole number" in policy.refusal_text("invalid", {"field": "cause", "reason": reason}).en
    assert "cause" in policy.refusal_text("invalid", {"field": "cause"}).zh


@pytest.mark.parametrize(
    "value", [None, "", "a/b/c", "{x}", "[{x}]", -5, 1.5, True, [], {"a": 1}, {"b", "a"}, object()]
)
def test_no_param_breaks_a_refusal(value: Any) -> None:
    """Saying no never fails, whatever a service or a caller put into the params."""
    policy = load_policy()
    names = re.findall(r"{(\w+)}", str(policy.texts.refusals))
    for code in policy.texts.refusals:
        assert policy.refusal_text(code, dict.fromkeys(names, value)).zh


def test_missing_param_outside_brackets_shows_an_ellipsis() -> None:
    """A shop's own wording need not know brackets."""
    texts = {"refusals": {"exceeds_paid": {"zh": "最多 {left_fen} 元 [注]", "en": "{left_fen} yuan at most [note]"}}}
    text = load_policy({"texts": texts}).refusal_text("exceeds_paid", {})
    assert (text.zh, text.en) == ("最多 … 元 [注]", "… yuan at most [note]")


def test_override_changes_only_what_it_says() -> None:
    """A shop states its differences; everything else stays as it comes."""
    base = load_policy()
    shop = load_policy(
        {
            "authority": {"agent": 5000},
            "promise": {"solution_hours": 48},
            "refused_carriers": ["SF", "EMS"],
            "problems": {"damaged_on_arrival": {"remedies": ["compensate"], "name": {"en": "Broken"}}},
            "texts": {"commands": {"rate": {"zh": "打分"}}},
        }
    )
    assert (shop.authority.agent, shop.authority.team_lead) == (5000, 10000)
    assert (shop.promise.first_answer_hours, shop.promise.solution_hours) == (2, 48)
    assert shop.refused_carriers == ("SF", "EMS")
    damaged = shop.problems["damaged_on_arrival"]
    assert damaged.remedies == (Remedy.COMPENSATE,)
    assert (damaged.name.zh, damaged.name.en, damaged.evidence) == ("破损/瑕疵", "Broken", True)
    assert shop.texts.commands["rate"] == Text(zh="打分", en="Rate")
    assert shop.causes == base.causes
    assert load_policy() == base


def test_shop_adds_a_problem_a_cause_a_party_and_a_reason() -> None:
    """The tables of §2 and §5 are open to what a shop has besides."""
    shop = load_policy(
        {
            "problems": {
                "battery_leak": {
                    "group": "usage",
                    "name": {"zh": "电池漏液", "en": "Leaking battery"},
                    "remedies": ["reship", "refund"],
                }
            },
            "causes": {"platform_error": {"name": {"zh": "平台出错", "en": "Platform error"}, "party": "platform"}},
            "parties": {"platform": {"name": {"zh": "平台", "en": "Platform"}, "named": True}},
            "return_reasons": {"gift": {"zh": "礼物不合适", "en": "Unwanted gift"}},
        }
    )
    assert shop.problems["battery_leak"].remedies == (Remedy.RESHIP, Remedy.REFUND)
    assert not shop.problems["battery_leak"].evidence
    assert len(shop.problems) == 25
    cause = shop.causes["platform_error"]
    assert (cause.party, cause.named, cause.freight) == ("platform", True, "merchant")
    assert list(shop.return_reasons)[-1] == "gift"


def test_cause_given_to_another_party_is_named_as_that_party_is() -> None:
    """Moving a cause from a department to a courier must not lose the courier's name."""
    causes = load_policy({"causes": {"supply_delay": {"party": "supplier"}, "confiscated": {"party": "none"}}}).causes
    assert causes["supply_delay"].named
    assert not causes["confiscated"].named


def test_override_may_be_any_mapping() -> None:
    """Callers may hand in what they hold, also read-only."""
    name = MappingProxyType({"zh": "礼物不合适", "en": "Unwanted gift"})
    shop = load_policy(MappingProxyType({"return_reasons": MappingProxyType({"gift": name})}))
    assert shop.return_reasons["gift"].zh == "礼物不合适"


@pytest.mark.parametrize(
    ("override", "path", "zh", "en"),
    [
        ({"autority": {}}, "autority", "是否想写 authority", "did you mean authority"),
        ({"authority": {"boss": 1}}, "authority.boss", "未知的键", "unknown key"),
        ({"authority": {"agent": -1}}, "authority.agent", "不能小于 0", "at least 0"),
        ({"authority": {"agent": 20.0}}, "authority.agent", "整数", "whole number"),
        ({"authority": {"agent": True}}, "authority.agent", "整数", "whole number"),
        ({"authority": None}, "authority", "键值表", "mapping"),
        ({"promise": {"solution_hours": 0}}, "promise.solution_hours", "不能小于 1", "at least 1"),
        ({"deposit_fen": "100"}, "deposit_fen", "以分为单位", "in fen"),
        ({"refused_carriers": "SF"}, "refused_carriers", "列表", "list"),
        ({"refused_carriers": ["SF", 1]}, "refused_carriers[1]", "文字", "text"),
        ({"return_reasons": {"gift": {"zh": "礼物"}}}, "return_reasons.gift.en", "缺失", "missing"),
        ({"return_reasons": {"quality": {"zh": " "}}}, "return_reasons.quality.zh", "不能为空", "empty"),
        ({"problems": {"handover": {"evidence": 1}}}, "problems.handover.evidence", "true", "true"),
        ({"problems": {"handover": {"group": "x"}}}, "problems.handover.group", "未知的值", "unknown value"),
        (
            {"problems": {"handover": {"remedies": ["refnd"]}}},
            "problems.handover.remedies[0]",
            "refund",
            "refund",
        ),
        (
            {"problems": {"handover": {"remedies": ["reship", "reship"]}}},
            "problems.handover.remedies[1]",
            "重复",
            "twice",
        ),
        (
            {"problems": {"handover": {"steps": [{"zh": "无"}]}}},
            "problems.handover.steps[0].en",
            "缺失",
            "missing",
        ),
        ({"problems": {"Hand-over": {}}}, "problems.Hand-over.remedies", "缺失", "missing"),
        ({"problems": {7: {}}}, "problems.7", "文字", "text"),
        ({"causes": {"goodwill": {"party": "courrier"}}}, "causes.goodwill.party", "courier", "courier"),
        (
            {"causes": {"goodwill": {"freight": "nobody"}}},
            "causes.goodwill.freight",
            "未知的值",
            "unknown value",
        ),
        ({"causes": {"goodwill": 5}}, "causes.goodwill", "键值表", "mapping"),
        (
            {"texts": {"refusals": {"invalide": {"zh": "无", "en": "no"}}}},
            "texts.refusals.invalide",
            "invalid",
            "invalid",
        ),
    ],
)
def test_mistake_is_told_with_its_path(override: dict[str, Any], path: str, zh: str, en: str) -> None:
    """Each kind of mistake stops the start and says where it is and what it is, in both languages."""
    mistakes = refused(override)
    assert zh in mistakes[path].zh
    assert en in mistakes[path].en


def test_higher_role_may_what_a_lower_one_may() -> None:
    """Raising one role's limit never leaves its superiors with less."""
    authority = load_policy({"authority": {"agent": 20000}}).authority
    assert [authority.limit(role) for role in ("agent", "team_lead", "store_manager")] == [20000, 20000, 50000]


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody has to start ten times to find ten mistakes."""
    mistakes = refused(
        {
            "authority": {"agent": 1.5},
            "deposit_fen": -1,
            "problems": {"damaged_on_arrival": {"remedies": ["compensate", "return", "forgive"], "evidence": "yes"}},
            "causes": {"goodwill": {"party": "nobody", "name": {"en": ""}}},
            "texts": {"refusals": {"forbidden": {"zh": 1}}},
            "colour": "red",
        }
    )
    assert set(mistakes) == {
        "authority.agent",
        "deposit_fen",
        "problems.damaged_on_arrival.remedies[2]",
        "problems.damaged_on_arrival.evidence",
        "causes.goodwill.party",
        "causes.goodwill.name.en",
        "texts.refusals.forbidden.zh",
        "colour",
    }


def test_file_is_an_override_with_line_numbers(tmp_path: Path) -> None:
    """Whoever edits a policy file is led to the very line, also for what is missing or written twice."""
    file = tmp_path / "shop.yaml"
    file.write_text(
        "deposit_fen: 5000\n"
        "authority:\n"
        "  agent: 30.5\n"
        "problems:\n"
        "  damaged_on_arrival:\n"
        "    remedies:\n"
        "      - compensate\n"
        "      - forgive\n"
        "  fire:\n"
        "    group: usage\n"
        "deposit_fen: 6000\n",
        encoding="utf-8",
    )
    with pytest.raises(PolicyInvalid) as caught:
        load_policy_file(file)
    told = [(mistake.path, mistake.place.line) for mistake in caught.value.mistakes if mistake.place]
    assert told == [
        ("authority.agent", 3),
        ("problems.damaged_on_arrival.remedies[1]", 8),
        ("problems.fire.name", 9),
        ("problems.fire.remedies", 9),
        ("deposit_fen", 11),
    ]
    assert f"{file}:8: problems.damaged_on_arrival.remedies[1]: " in str(caught.value)


def test_good_file_is_in_force(tmp_path: Path) -> None:
    """A file and a mapping that say the same are the same policy; an empty file changes nothing."""
    file = tmp_path / "shop.yaml"
    file.write_text("deposit_fen: 5000\nrefused_carriers: []\n", encoding="utf-8")
    assert load_policy_file(file) == load_policy({"deposit_fen": 5000, "refused_carriers": []})
    file.write_text("# nothing yet\n", encoding="utf-8")
    assert load_policy_file(file) == load_policy()


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"a: 1\nb: [1,\n", 3), (b"- 1\n", 1), (b"a: \xff\n", 1), (b"a: 1\n? [x]\n: 2\n", 2)],
)
def test_file_that_is_no_policy_is_told_so(tmp_path: Path, content: bytes, line: int) -> None:
    """Broken YAML is a mistake of the policy with a line, not a stack trace of a parser."""
    file = tmp_path / "shop.yaml"
    file.write_bytes(content)
    with pytest.raises(PolicyInvalid) as caught:
        load_policy_file(file)
    assert [mistake.place.line for mistake in caught.value.mistakes if mistake.place] == [line]


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("a: [1,\nb: 2\n", "缺少 , 或 ](从第 1 行开始)", "a , or ] is missing (begun in line 1)"),
        ("deposit_fen: 5000: yuan\n", "每个键须另起一行", "each key has its own line"),
        ("a: 1\nb: \x01\n", "控制字符", "control characters"),
        ("a: !<tag\n", "did not find", "did not find"),
    ],
)
def test_what_is_no_yaml_is_told_in_words(text: str, zh: str, en: str) -> None:
    """Whoever writes rules knows lines and brackets, not byte strings and flow sequences."""
    with pytest.raises(PolicyInvalid) as caught:
        load_policy_text(text)
    [mistake] = caught.value.mistakes
    assert zh in mistake.message.zh
    assert en in mistake.message.en
    assert "byte string" not in mistake.message.en


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A wrong path is no mistake in a policy."""
    with pytest.raises(FileNotFoundError):
        load_policy_file(tmp_path / "none.yaml")


def test_version_follows_the_content() -> None:
    """Events record the rules they were decided under, so another content is always another version."""
    base = load_policy()
    assert re.fullmatch(r"\d+\.\d+\+[0-9a-f]{8}", base.version)
    assert load_policy({}).version == base.version
    assert load_policy({"deposit_fen": 10000}).version == base.version
    versions = {
        load_policy(override).version
        for override in (
            {},
            {"deposit_fen": 10001},
            {"problems": {"handover": {"evidence": True}}},
            {"texts": {"refusals": {"invalid": {"zh": "填错了"}}}},
        )
    }
    assert len(versions) == 4
    assert load_policy({"version": "shop-7"}).version.startswith("shop-7+")


def test_version_does_not_depend_on_the_order_of_keys() -> None:
    """Two files that say the same are the same policy, however they are laid out."""
    one = load_policy({"promise": {"solution_hours": 9, "first_answer_hours": 1}, "deposit_fen": 1})
    two = load_policy({"deposit_fen": 1, "promise": {"first_answer_hours": 1, "solution_hours": 9}})
    assert one.version == two.version


def test_policy_cannot_be_changed_by_its_readers() -> None:
    """One policy serves every command of a process, so nobody may write to it."""
    policy = load_policy()
    with pytest.raises(AttributeError):
        policy.deposit_fen = 0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        policy.authority.agent = 0  # type: ignore[misc]
