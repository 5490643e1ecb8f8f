"""Load hostile artifacts under watch: none may run code, take much time or memory, or end in anything but a refusal."""

import json
import os
import resource
import select
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from forecast import Forecaster
from forecast.calendar.calendar import named_holidays
from forecast.errors import ArtifactRefused, ForecastError
from workshop.campaigns._cases import all_cases
from workshop.campaigns._cases_of_files import MARK
from workshop.campaigns._stores import Case, exported_files, network_files, plain_files, write_store

SECONDS, MEGABYTES = 5.0, 1024
PATIENCE = 60  # seconds on the clock after which a child is killed
ROOM = 4 << 30  # bytes that a child may ask for
WATCHED = (
    *(
        "exec",
        "compile",
        "import",
        "open",
        "pickle.find_class",
        "marshal.load",
        "marshal.loads",
        "code.__new__",
    ),
    *(
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
        "subprocess.Popen",
    ),
    *(
        "os.kill",
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.chmod",
        "os.chown",
    ),
    *(
        "os.truncate",
        "os.putenv",
        "os.utime",
        "os.setxattr",
        "shutil.",
        "socket.",
        "ctypes.",
        "urllib.Request",
    ),
    *(
        "sys.addaudithook",
        "sys.setprofile",
        "sys.settrace",
        "function.__new__",
        "builtins.input",
        "mmap.__new__",
    ),
)
ALLOWED = ("forecast", "numpy", "pandas", "torch", "pydantic", "pydantic_core", "holidays", "difflib", "zoneinfo",
           "_zoneinfo", "tzdata", "encodings", "importlib", "dateutil", "pyarrow", "scipy",
           "onnxruntime")  # fmt: skip
PLACES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parents[2]), "<frozen "}
)


@dataclass
class Outcome:
    """How one case ended.

    Attributes
    ----------
    end : refused, accepted, the name of another error, or killed
    seconds : of processor time, whatever else the machine does; one that only waits is killed
    where : load or predict
    events : what it did that loading does not do
    """

    name: str
    end: str = "killed"
    where: str = ""
    message: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0
    events: list[str] = field(default_factory=list)
    code: int = 0

    def faults(self, harmless: bool) -> list[str]:
        """What is wrong with it."""
        found = [f"ran: {', '.join(self.events[:5])}"] if self.events else []
        if self.end != "refused" and not (harmless and self.end == "accepted"):
            found.append(f"{self.end} in {self.where}: {self.message}")
        if self.seconds > SECONDS:
            found.append(f"took {self.seconds:.1f} s")
        if self.megabytes > MEGABYTES:
            found.append(f"took {self.megabytes:.0f} MB")
        return found


def warm_up(place: Path) -> None:
    """Load and forecast what is sound, so that whatever is imported later is worth a look."""
    for name, files in (
        ("plain", plain_files()),
        ("network", network_files()),
        ("exported", exported_files()),
    ):
        write_store(place / name, files)
        forecaster = Forecaster.load(str(place / name))
        forecaster.describe()
        forecaster.predict()
    if find_spec("holidays") is not None:
        named_holidays(0, 0, "DE")  # an import that compiles
    with suppress(KeyError, ValueError):
        ZoneInfo("Nowhere/Land")  # where the package tzdata is installed, it is asked next


def run(case: Case, place: Path) -> Outcome:
    """Write a case, and let a child load it."""
    case.write(place)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            outcome = _watched(case.name, place)
            os.write(writer, json.dumps(asdict(outcome)).encode()[:60_000])
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    data, deadline = b"", time.monotonic() + PATIENCE
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        data += piece
    os.close(reader)
    if not data:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    outcome = Outcome(**json.loads(data)) if data else Outcome(case.name, seconds=PATIENCE)
    if os.path.lexists(MARK):
        outcome.events.append(f"{MARK} is there")
        shutil.rmtree(MARK, ignore_errors=True) if os.path.isdir(MARK) else os.remove(MARK)
    return outcome


def _watched(name: str, place: Path) -> Outcome:
    """In the child: load and forecast with every event of the interpreter looked at."""
    outcome, watching = Outcome(name), True

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event.startswith(WATCHED) and not _usual(event, arguments):
            outcome.events.append(f"{event} {str(arguments)[:100]}")

    sys.addaudithook(look)
    limit = _status("VmSize") * 1024 + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    outcome.events.clear()
    before, began = _status("VmRSS"), time.process_time()
    outcome.where = "load"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            forecaster = Forecaster.load(str(place))
            outcome.where = "describe"
            forecaster.describe()
            outcome.where = "predict"
            forecaster.predict()
            outcome.end = "accepted"
        except ArtifactRefused as error:
            outcome.end, outcome.message, outcome.code = (
                "refused",
                str(error)[:500],
                error.exit_code,
            )
        except ForecastError as error:
            outcome.end, outcome.message, outcome.code = (
                type(error).__name__,
                str(error)[:500],
                error.exit_code,
            )
        except Exception as error:
            outcome.end, outcome.message = type(error).__name__, str(error)[:500]
    outcome.seconds = time.process_time() - began
    outcome.megabytes = (_status("VmHWM") - before) / 1024
    watching = False
    return outcome


def _usual(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether loading an honest artifact may do this too."""
    if event == "open":
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        return not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    if event == "import":
        return str(arguments[0]).partition(".")[0] in ALLOWED
    if event == "exec":
        return str(getattr(arguments[0], "co_filename", "")).startswith(PLACES)
    if event.startswith("marshal."):  # a module of those that may be imported
        return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")
    return False


def _status(name: str) -> int:
    """A figure of this process, in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


@click.command()
@click.option("--only", default="", help="run the cases whose name holds this")
@click.option("--details", is_flag=True, help="print how each case ended")
def command(only: str, details: bool) -> None:
    """Load hostile artifacts, each in a child of its own."""
    warnings.simplefilter("ignore")
    cases = [case for case in all_cases() if only in case.name]
    wrong, slowest, largest, accepted = 0, 0.0, 0.0, 0
    with tempfile.TemporaryDirectory(prefix="forecast-hostile-") as folder:
        warm_up(Path(folder) / "warm")
        for number, case in enumerate(cases):
            place = Path(folder) / f"case-{number}"
            outcome = run(case, place)
            faults = outcome.faults(case.harmless is not None)
            wrong += bool(faults)
            accepted += outcome.end == "accepted"
            slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.megabytes)
            if faults or details:
                click.echo(
                    f"{case.name}: {'; '.join(faults) or outcome.end + ' ' + outcome.message[-150:]}"
                )
            for left in Path(folder).glob(f"*case-{number}"):
                left.unlink() if left.is_symlink() or left.is_file() else shutil.rmtree(
                    left, ignore_errors=True
                )
    click.echo(
        f"{len(cases)} hostile artifacts: {wrong} not as they must, {accepted} accepted, the others refused; "
        f"slowest {slowest:.1f} s, most memory {largest:.0f} MB"
    )
    sys.exit(1 if wrong else 0)
