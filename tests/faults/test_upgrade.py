"""Row 24 of `faults.md`: while an upgrade is rolled out, two versions work side by side, and it can be rolled back.

The next version is a copy of this source tree in which a released event really has a new field and a raised schema
version, with the upcaster that the contract asks for, and a rule that fills it. An earlier release could not be run:
none knows Kafka.
"""

import json
import shutil
from pathlib import Path

from tests.faults.stage import ROOT, Stage

#: What the next version changes: file, text, replacement.
CHANGES = (
    (
        "contracts/events/cases.py",
        'tag="compensation.paid"):\n    """The offer was paid; `allocation` says which lines it belongs to."""\n',
        'tag="compensation.paid"):\n    """The offer was paid by `channel`."""\n\n'
        "    schema_version: ClassVar[int] = 2\n",
    ),
    (
        "contracts/events/cases.py",
        "    payment_ref: str\n\n\nclass CompensationWithdrawn",
        '    payment_ref: str\n    channel: str = ""\n\n\nclass CompensationWithdrawn',
    ),
    (
        "contracts/events/cases.py",
        "from contracts.event import",
        "from typing import ClassVar\n\nfrom contracts.event import",
    ),
    (
        "contracts/registry.py",
        "dict[str, Any]]] = {}",
        'dict[str, Any]]] = {("compensation.paid", 1): lambda body: body | {"channel": "old"}}',
    ),
    (
        "services/cases/domain/compensation.py",
        "payment_ref=body.payment_ref",
        'channel="next", payment_ref=body.payment_ref',
    ),
)


async def test_old_and_new_version_read_each_other(stage: Stage, tmp_path: Path) -> None:
    """Old and new processes of every role work on the same logs and topics; afterwards the old version takes all back,
    and understands what the new one wrote."""
    tree = _next_version(tmp_path)
    renewed = ("refunds-consume", "cases-relay")
    await stage.begin("cases-api-2", tree=tree)
    for name in renewed:
        await stage.process(name).stop()
        await stage.begin(name, tree=tree)
    async with stage.load() as load:
        await load.acknowledged(150)
    await stage.must_be_sound()
    await stage.end("cases-api-2")
    for name in renewed:
        await stage.end(name)
    async with stage.load() as load:
        await load.acknowledged(60)
    history = await stage.must_be_sound()
    paid = [event for event in history.logs["cases"].own() if event.type == "compensation.paid"]
    assert {event.schema for event in paid} == {1, 2}
    assert all(json.loads(event.data)["channel"] == "next" for event in paid if event.schema == 2)
    learned = [event for event in history.logs["refunds"].events if event.type == "compensation.paid"]
    assert {event.schema for event in learned} == {1, 2}


def _next_version(folder: Path) -> Path:
    for package in ("contracts", "services"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in CHANGES:
        file = folder / name
        text = file.read_text()
        assert text.count(old) == 1, (name, old)
        file.write_text(text.replace(old, new))
    return folder
