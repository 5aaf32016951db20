"""Plays scenarios on fresh instances, through the HTTP API and the real flow of events (domain.md §7)."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from services.scenarios.agreement import disagreements
from services.scenarios.api_client import UPSTREAM, Answer, ApiClient
from services.scenarios.expectation import differences
from services.scenarios.format import DIRECTIONS, Scenario, ScenarioInvalid, Step, load_scenario
from services.scenarios.instance import Instance, InstanceFactory, Setting
from services.scenarios.result import Difference, Reading, ScenarioResult
from services.scenarios.timing import orders_recorded_at, start_of, step_times

#: What `save` labels of the answer, by command; of all other commands it labels the first payout that they made.
SAVED: Final = {
    "open_case": "case_id",
    "submit_evidence": "evidence",
    "propose_compensation": "proposal",
    "order_reshipment": "reshipment",
    "authorise_return": "return_id",
}
#: Fields that may hold a label instead of an id.
LABELLED: Final = ("evidence", "proposal", "reshipment", "payout", "return_id", "case_id")


async def play(scenario: Scenario, instance_factory: InstanceFactory, file: str = "") -> ScenarioResult:
    """Play one scenario. What breaks is a difference like any other; nothing is raised for it."""
    started = time.perf_counter()
    found: list[Difference] = []
    read = Reading()
    try:
        setting = Setting(now=orders_recorded_at(scenario), policy=scenario.policy, outcomes=scenario.outcomes)
        instance = await instance_factory(setting)
        try:
            async with ApiClient(instance.base_url, instance.token) as api:
                read = await _Play(scenario, instance, api, found).run()
        finally:
            await instance.close()
        found += differences(scenario.expect, read)
    except Exception as error:
        found.append(_broken(error))
    return ScenarioResult(
        file=file,
        scenario=scenario.scenario,
        title=scenario.title,
        ok=not found,
        seconds=round(time.perf_counter() - started, 3),
        differences=found,
        read=read,
    )


async def run_files(
    files: Iterable[Path],
    instance_factory: InstanceFactory,
    done: Callable[[ScenarioResult], None] = lambda result: None,
) -> list[ScenarioResult]:
    """Play files one after the other, each on an instance of its own; `done` hears of each result at once."""
    results = []
    for file in files:
        try:
            result = await play(load_scenario(file), instance_factory, str(file))
        except ScenarioInvalid as error:
            result = ScenarioResult.unplayable(file, [Difference.of_mistake(one) for one in error.mistakes])
        except OSError as error:
            unreadable = Difference(where="file", got=str(error), zh=f"无法读取:{error}", en=f"cannot be read: {error}")
            result = ScenarioResult.unplayable(file, [unreadable])
        done(result)
        results.append(result)
    return results


class _Play:
    """One scenario on one instance: the labels that steps gave so far, and what was not as it says."""

    def __init__(self, scenario: Scenario, instance: Instance, api: ApiClient, found: list[Difference]) -> None:
        self.scenario = scenario
        self.instance = instance
        self.api = api
        self.found = found
        self.labels: dict[str, str] = {}
        self.cases: dict[str, str] = {}

    async def run(self) -> Reading:
        await self._prepare()
        for step, now in zip(self.scenario.steps, step_times(self.scenario), strict=True):
            try:
                await self._step(step, now)
            except Exception as error:
                error.add_note(f"in {step.name}")
                raise
        documents = {label: await self.api.case(case_id) for label, case_id in self.cases.items()}
        self.found += await disagreements(self.api, documents)
        return Reading.of(documents)

    async def _prepare(self) -> None:
        for order in self.scenario.orders:
            self._must_succeed(f"order {order.order_id}", await self.api.record_order(order.order_id, order.body))
        for sku, quantity in self.scenario.stock.items():
            body = {"sku": sku, "quantity": quantity}
            self._must_succeed(f"stock {sku}", await self.api.command(UPSTREAM, "report_stock", "", body))
        await self.instance.settle()
        await self.instance.set_time(start_of(self.scenario))

    async def _step(self, step: Step, now: datetime) -> None:
        await self.instance.set_time(now)
        if step.set_time is not None:
            await self.instance.settle()
        if step.do in DIRECTIONS:
            await self._direct(step)
        else:
            await self._command(step)

    async def _direct(self, step: Step) -> None:
        match step.do:
            case "redeliver":
                await self.instance.redeliver(step.times)
            case "rebuild":
                await self.instance.rebuild()
            case "restart":
                await self.instance.restart()
        await self.instance.settle()

    async def _command(self, step: Step) -> None:
        case_id = self.labels.get(step.case, step.case)
        payouts = await self._payouts(step)
        fields = {key: self._id(key, value) for key, value in step.fields.items()}
        assert step.actor is not None
        answer = await self.api.command(step.actor, step.do, case_id, fields, step.if_version)
        await self.instance.settle()
        self._check_refusal(step, answer)
        if answer.refused:
            return
        if step.do == "open_case":
            self._opened(step, answer.body["case_id"])
        if step.save:
            made = [answer.body.get(SAVED[step.do])] if step.do in SAVED else await self._payouts(step)
            self._save(step, [item for item in made if item not in payouts])

    def _id(self, field: str, value: Any) -> Any:
        return self.labels.get(value, value) if field in LABELLED and isinstance(value, str) else value

    def _opened(self, step: Step, case_id: str) -> None:
        label = step.case or case_id
        self.labels[label] = self.cases[label] = case_id

    async def _payouts(self, step: Step) -> list[str]:
        """The payouts of the step's case, where it is to save one."""
        if not step.save or step.do in SAVED or step.case not in self.cases:
            return []
        return [payout["payout"] for payout in (await self.api.case(self.cases[step.case]))["payouts"]]

    def _save(self, step: Step, made: list[Any]) -> None:
        if made and isinstance(made[0], str):
            self.labels[step.save] = made[0]
            return
        self._note(
            step.name,
            step.save,
            None,
            f"没有可记为 {step.save} 的东西",
            f"made nothing that could be saved as {step.save}",
        )

    def _must_succeed(self, where: str, answer: Answer) -> None:
        if answer.refused:
            zh, en = answer.said("zh"), answer.said("en")
            self._note(where, None, answer.refused, f"被拒绝:{answer.refused} {zh}", f"refused: {answer.refused} {en}")

    def _check_refusal(self, step: Step, answer: Answer) -> None:
        if answer.refused == step.refused:
            return
        if not answer.refused:
            zh, en = f"应被拒绝({step.refused}),却成功了", f"should be refused ({step.refused}) but succeeded"
        elif step.refused:
            zh = f"应以 {step.refused} 拒绝,却以 {answer.refused} 拒绝:{answer.said('zh')}"
            en = f"should be refused as {step.refused} but was as {answer.refused}: {answer.said('en')}"
        else:
            zh = f"应成功,却被拒绝:{answer.refused} {answer.said('zh')}"
            en = f"should succeed but was refused: {answer.refused} {answer.said('en')}"
        self._note(step.name, step.refused or None, answer.refused or None, zh, en)

    def _note(self, where: str, expected: Any, got: Any, zh: str, en: str) -> None:
        self.found.append(Difference(where=where, expected=expected, got=got, zh=zh.strip(), en=en.strip()))


def _broken(error: Exception) -> Difference:
    where = next((note.removeprefix("in ") for note in getattr(error, "__notes__", [])), "play")
    told = f"{type(error).__name__}: {error}"
    return Difference(where=where, got=told, zh=f"无法继续:{told}", en=f"could not go on: {told}")
