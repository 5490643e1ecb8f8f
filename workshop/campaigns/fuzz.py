"""Feed the loader or the reader of tables with inputs that coverage guides, until something breaks."""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

MEMORY = 2048  # MB
HANG = 30  # seconds on the clock; what takes `SLOW` of processor time is a finding too
SLOW = 5.0


@click.command()
@click.argument("target", type=click.Choice(["loader", "table"]))
@click.option("--runs", default=1_000_000, show_default=True, help="inputs to try")
@click.option("--seconds", default=3600, show_default=True, help="most time to take")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="where inputs and findings are kept"
)
@click.option("--seed", default=1, show_default=True)
def command(target: str, runs: int, seconds: int, folder: Path | None, seed: int) -> None:
    """Try inputs in child processes, going on after each that dies, and say what was found."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        raise click.ClickException(
            "fuzzing needs the package atheris: pip install '.[fuzz]'"
        ) from None
    folder = folder or Path(tempfile.gettempdir()) / f"forecast-fuzz-{target}"
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    began, done = time.monotonic(), 0
    while done < runs and time.monotonic() - began < seconds:
        (folder / "tried").unlink(missing_ok=True)
        left = int(seconds - (time.monotonic() - began))
        child = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "workshop.campaigns._fuzzing",
                    target,
                    str(folder),
                    str(folder / "corpus"),
                ),
                *(
                    f"-runs={runs - done}",
                    f"-max_total_time={left}",
                    f"-seed={seed}",
                    f"-timeout={HANG}",
                ),
                *(f"-rss_limit_mb={MEMORY}", "-max_len=65536", f"-artifact_prefix={folder}/died-"),
                *("-print_final_stats=1", "-reload=0", "-use_value_profile=0"),
            ],
            capture_output=True,
            text=True,
            errors="replace",
        )
        (folder / f"log-{seed}.txt").write_text(child.stdout[-20_000:] + child.stderr[-20_000:])
        whole = re.search(
            r"number_of_executed_units: *(\d+)", child.stderr
        )  # a child that dies leaves its last note
        tried = int(whole[1] if whole else "".join(_lines(folder / "tried")) or 0)
        done += tried
        click.echo(
            f"{tried:,} inputs, exit {child.returncode}; {done:,} in {time.monotonic() - began:.0f} s"
        )
        if not tried:
            raise click.ClickException(f"the fuzzer does not start: {child.stderr[-2000:]}")
        seed += 1
    found = [json.loads(line) for line in _lines(folder / "findings.jsonl")]
    died = sorted(path.name for path in folder.glob("died-*"))
    click.echo(
        f"{target}: {done:,} inputs in {time.monotonic() - began:.0f} s; {len(found)} findings, {len(died)} deaths"
    )
    for one in found:
        click.echo(f"  {one['kind']}: {one['what']} at {one['where']} ({one['input']})")
    for name in died:
        click.echo(f"  {name}")
    sys.exit(1 if found or died else 0)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
