"""The chart as Helm renders it, kept beside the tests: `python -m tests.deploy.rendering`, with Helm on the path.

So the tests look at real objects where there is no Helm. Each kept file tells from which chart it was rendered.
"""

import hashlib
import shutil
import subprocess

from tests.deploy.files import CHART, DEPLOY, RENDERED

NAMES = ("minimal", "full")
_ALERTS = DEPLOY / "prometheus" / "alerts.yml"
_OPTIONS = {"full": ("--set-file", f"monitoring.rules={_ALERTS}")}


def heading() -> str:
    """The first line of a kept file: what it was rendered from."""
    digest = hashlib.sha256()
    for file in sorted([*(one for one in CHART.rglob("*") if one.is_file()), _ALERTS]):
        digest.update(f"{file.relative_to(DEPLOY)}\0".encode() + file.read_bytes() + b"\0")
    return f"# Rendered by Helm from the chart {digest.hexdigest()}; python -m tests.deploy.rendering"


def render(name: str) -> str:
    """What Helm makes of the chart with `ci/{name}-values.yaml`."""
    helm = shutil.which("helm")
    if helm is None:
        raise FileNotFoundError("helm is not on the path")
    command = [
        helm,
        "template",
        "shop",
        str(CHART),
        "--namespace",
        "shop",
        "--values",
        f"{CHART}/ci/{name}-values.yaml",
    ]
    done = subprocess.run([*command, *_OPTIONS.get(name, ())], check=True, capture_output=True, text=True)
    return f"{heading()}\n{done.stdout}"


if __name__ == "__main__":
    for each in NAMES:
        (RENDERED / f"{each}.yaml").write_text(render(each), encoding="utf-8")
