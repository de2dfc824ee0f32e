"""The scenarios, and the targets that their figures have."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.bench import load, reading
from tests.bench.inspecting import InspectedKernel
from tests.bench.load import Route
from tests.bench.processes import BenchError, Child, Usage
from tests.bench.report import Check, Section, pairs
from tests.bench.subjects import (
    DIRECT,
    FORGETFUL,
    MITMDUMP,
    MOUNTED,
    PLAIN,
    SCRIPTED,
    Direct,
    Mitmdump,
    Mounted,
    Plain,
    Scripted,
    SideBySide,
    new_kernel,
    setting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.load import Load
    from tests.bench.subjects import Subject

_MB: Final = 1e6
_CONNECTIONS: Final = 16
_PROCESSES: Final = 4  # of each subject of `_side_by_side` in a round
_TURNS: Final = 4  # of the two in one process
_HANDSHAKES: Final = 8
_PACE: Final = 500


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often the subjects take turns.
        seconds: How long a load lasts.
        requests: How many make a latency.
        download_bytes: Size of a download.
        kernels: In how many fresh kernels the extension is loaded.
        idle_s: How long a kernel is watched doing nothing.
        flows: How many lie under the frame's one more.
        rows: How many there are in the frame that is measured without flows.
        saved: How many are in a file that is read.
        scanned: How many a script runs over on a cluster.
        recorded: How many are recorded to see what they cost in memory.
        passed: How many pass through the proxy for the same.
        subjects: Which ones.
    """

    rounds: int = 5
    seconds: float = 1.2
    requests: int = 250
    download_bytes: int = 100_000_000
    kernels: int = 3
    idle_s: float = 4.0
    flows: int = 100_000
    rows: int = 1_000_000
    saved: int = 20_000
    scanned: int = 100_000
    recorded: int = 200_000
    passed: int = 100_000
    subjects: tuple[str, ...] = (DIRECT, MITMDUMP, PLAIN, MOUNTED)


FULL: Final = Plan()
QUICK: Final = Plan(
    rounds=1,
    seconds=1.0,
    requests=100,
    kernels=1,
    idle_s=1.0,
    rows=200_000,
    scanned=10_000,
    recorded=40_000,
    passed=5_000,
)


@dataclass(frozen=True)
class Scenario:
    """One thing that is measured.

    Attributes:
        title: In words.
        measure: Does it.
    """

    title: str
    measure: Callable[[Bench, Section], None]


class Bench:
    """One run.

    Args:
        plan: How much.
        mitmdump: The command, None if there is none.
    """

    def __init__(self, plan: Plan, mitmdump: Path | None) -> None:
        self.plan = plan
        self._mitmdump = mitmdump
        self._stack = contextlib.ExitStack()
        self._folders = 0

    def __enter__(self) -> Self:
        with self._stack:
            self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self.confdir = self._root / "confdir"
            self.trusted = self._root / "origin-ca.pem"
            origin = Child("origin", str(self.trusted))
            self._stack.callback(origin.close)
            self.http_port, self.https_port = origin.wait_ready().hello
            self.origin_usage = Usage(origin.process.pid)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, name: str) -> Section:
        """Measure one scenario.

        Raises:
            BenchError: Something does not work.
        """
        scenario = SCENARIOS[name]
        section = Section(name, scenario.title, ())
        scenario.measure(self, section)
        return section

    @property
    def mitmproxy_python(self) -> Path | None:
        """The Python of mitmproxy's environment, if there is one."""
        if self._mitmdump is None:
            return None
        python = self._mitmdump.resolve().with_name("python")
        return python if python.exists() else None

    def folder(self) -> Path:
        """A place that nobody has used."""
        self._folders += 1
        return self._root / f"folder-{self._folders}"

    def _start(self, name: str) -> Subject:
        if name == DIRECT:
            return Direct()
        if name == PLAIN:
            return Plain(self.confdir, self.trusted)
        if name == SCRIPTED:
            return Scripted(self._root / "scripts", self.confdir, self.trusted)
        if name == MOUNTED:
            return Mounted(self.folder(), self.confdir, self.trusted)
        assert self._mitmdump is not None
        folder = self._root / "mitmdump"
        folder.mkdir(exist_ok=True)
        return Mitmdump(self._mitmdump, folder, self.trusted)

    @contextlib.contextmanager
    def subjects(self, *only: str) -> Iterator[dict[str, Subject]]:
        """The plan's subjects, or those named, fresh, ready, in the order they take turns."""
        wanted = only or self.plan.subjects
        names = [n for n in wanted if n != MITMDUMP or self._mitmdump is not None]
        with contextlib.ExitStack() as stack:
            found: dict[str, Subject] = {}
            for name in names:
                found[name] = self._start(name)
                stack.callback(found[name].close)
            for subject in found.values():
                subject.wait_ready()
            yield found

    def route(self, subject: Subject, *, tls: bool, stamped: bool = True) -> Route:
        """The way to the origin through a subject."""
        port = self.https_port if tls else self.http_port
        return Route(port, subject.port, tls, stamped and subject.port is not None)


Figures = defaultdict[str, list[float]]


def _versus(
    what: str, values: Figures, above: str, below: str, target: float | None = None
) -> list[Check]:
    """A ratio; nothing if one of the two is no subject of this run and is not even missed."""
    if not (values[above] and values[below]) and MITMDUMP not in {above, below}:
        return []
    return [Check(what, pairs(values[above], values[below]), target=target)]


def _throughput(*, tls: bool, fresh: bool, target: float) -> Callable[[Bench, Section], None]:
    """Requests per second: with connections that stay, or a new one for each."""
    generate = load.new_connections if fresh else load.keep_alive
    width = _HANDSHAKES if fresh else _CONNECTIONS

    def measure(bench: Bench, section: Section) -> None:
        rates, cpu = Figures(list), Figures(list)
        shares: list[tuple[float, float]] = []
        sent: dict[str, int] = defaultdict(int)
        with bench.subjects() as subjects:
            for _ in range(bench.plan.rounds):
                for name, subject in subjects.items():
                    cpu_s = subject.usage.cpu_s if subject.usage is not None else lambda: 0.0
                    ours, origin = time.process_time(), bench.origin_usage.cpu_s()
                    route = bench.route(subject, tls=tls)
                    result = generate(route, width, bench.plan.seconds, cpu_s)
                    rates[name].append(result.rate)
                    sent[name] += result.requests
                    if subject.usage is not None:
                        cpu[name].append(result.cpu_us)
                    if name == PLAIN:
                        ours = time.process_time() - ours
                        origin = bench.origin_usage.cpu_s() - origin
                        shares.append((ours / result.seconds, origin / result.seconds))
            for name, subject in subjects.items():
                recorded = subject.recorded()
                if recorded is not None and recorded < sent[name]:
                    raise BenchError(f"{name} recorded {recorded} of {sent[name]} flows")
        section.columns = ("requests/s", "CPU us/request")
        section.rows = {name: [rates[name], cpu[name]] for name in rates}
        section.checks = [
            *_versus("nbproxy / mitmdump, requests/s", rates, PLAIN, MITMDUMP, target),
            *_versus("mitmdump / nbproxy, CPU per request", cpu, MITMDUMP, PLAIN, target),
            *_versus("in a kernel / nbproxy, requests/s", rates, MOUNTED, PLAIN, 0.85),
            *_versus("nbproxy / in a kernel, CPU per request", cpu, PLAIN, MOUNTED, 0.85),
        ]
        if shares:
            ours, origin = (sum(column) / len(shares) for column in zip(*shares, strict=True))
            section.notes.append(
                f"of a processor, beside nbproxy: the load {ours:.0%}, the origin {origin:.0%}"
            )

    return measure


def _latency(bench: Bench, section: Section) -> None:
    took = Figures(list)
    with bench.subjects() as subjects:
        for _ in range(bench.plan.rounds):
            for name, subject in subjects.items():
                route = bench.route(subject, tls=False)
                took[name].append(load.latency_us(route, bench.plan.requests))
    added = Figures(list)
    for name, values in took.items():
        if name != DIRECT:
            added[name] = [v - d for v, d in zip(values, took[DIRECT], strict=True)]
    section.columns = ("p50 us", "added us")
    section.rows = {name: [took[name], added.get(name, [])] for name in took}
    ratios = pairs(added[PLAIN], added[MITMDUMP]) if added.get(MITMDUMP) else []
    section.checks = [
        Check("nbproxy / mitmdump, added", ratios, wanted="<=", target=1 / 3),
        Check("in a kernel / nbproxy, added", pairs(added[MOUNTED], added[PLAIN]), wanted="<="),
    ]


def _download(*, tls: bool) -> Callable[[Bench, Section], None]:
    def measure(bench: Bench, section: Section) -> None:
        size = bench.plan.download_bytes
        speed, memory, cpu = Figures(list), Figures(list), Figures(list)
        with bench.subjects() as subjects:
            for subject in subjects.values():  # warm: imports, certificates
                load.download(bench.route(subject, tls=tls, stamped=False), 1000)
            for _ in range(min(3, bench.plan.rounds)):
                for name, subject in subjects.items():
                    route = bench.route(subject, tls=tls, stamped=False)
                    usage = subject.usage
                    if usage is None:
                        speed[name].append(size / _MB / load.download(route, size))
                        continue
                    usage.forget_peak()
                    before, cpu_before = usage.memory(), usage.cpu_s()
                    speed[name].append(size / _MB / load.download(route, size))
                    memory[name].append((usage.peak() - before) / _MB)
                    cpu[name].append((usage.cpu_s() - cpu_before) * 1000)
        section.columns = ("MB/s", "memory MB", "CPU ms")
        section.rows = {name: [speed[name], memory[name], cpu[name]] for name in speed}
        section.checks = [
            *_versus("nbproxy / mitmdump, MB/s", speed, PLAIN, MITMDUMP, 1.5),
            *_versus("mitmdump / nbproxy, CPU", cpu, MITMDUMP, PLAIN),
            *_versus("in a kernel / nbproxy, MB/s", speed, MOUNTED, PLAIN),
            *(
                Check(f"{name}: memory", memory[name], "MB", "<", 50.0, worst=True)
                for name in (PLAIN, MOUNTED)
                if name in memory
            ),
        ]

    return measure


def _warm_load(bench: Bench, route: Route, usage: Usage) -> tuple[Load, Load]:
    """A load that warms up, and the one that counts."""
    plan = bench.plan
    warm = load.keep_alive(route, _CONNECTIONS, plan.seconds / 3, usage.cpu_s)
    return warm, load.keep_alive(route, _CONNECTIONS, plan.seconds, usage.cpu_s)


def _side_by_side(bench: Bench, section: Section, *names: str) -> tuple[Figures, Figures]:
    """Requests per second, and processor time for one, of subjects that take turns.

    They are made anew for each round: one process may be a fifth slower than the next, as its
    memory happens to lie.
    """
    rates, cpu = Figures(list), Figures(list)
    for _ in range(bench.plan.rounds * _PROCESSES):
        with bench.subjects(*names) as subjects:
            for name, subject in subjects.items():
                assert subject.usage is not None
                route = bench.route(subject, tls=False)
                _, result = _warm_load(bench, route, subject.usage)
                rates[name].append(result.rate)
                cpu[name].append(result.cpu_us)
    section.columns = ("requests/s", "CPU us/request")
    section.rows = {name: [rates[name], cpu[name]] for name in rates}
    return rates, cpu


def _scripts(bench: Bench, section: Section) -> None:
    rates, cpu = _side_by_side(bench, section, PLAIN, SCRIPTED)
    section.checks = [
        *_versus("with a script / with a handler, requests/s", rates, SCRIPTED, PLAIN, 0.85),
        *_versus("with a handler / with a script, CPU", cpu, PLAIN, SCRIPTED, 0.85),
    ]


def _record(bench: Bench, section: Section) -> None:
    """Two proxies in one process: one process may be a fifth slower than the next."""
    rates, cpu = Figures(list), Figures(list)
    names = [FORGETFUL, PLAIN]
    for _ in range(bench.plan.rounds * _PROCESSES // 2):
        with contextlib.closing(SideBySide(bench.confdir, bench.trusted)) as subject:
            subject.wait_ready()
            assert subject.usage is not None
            sent = 0
            for _ in range(_TURNS):
                for name in names:
                    route = Route(bench.http_port, subject.ports[name], tls=False, stamped=True)
                    # the writer is still at what the other has left, when it warms up
                    warm, result = _warm_load(bench, route, subject.usage)
                    sent += warm.requests + result.requests if name == PLAIN else 0
                    rates[name].append(result.rate)
                    cpu[name].append(result.cpu_us)
                names.reverse()
            if subject.recorded() < sent:
                raise BenchError(f"recorded {subject.recorded()} of {sent} flows")
    section.columns = ("requests/s", "CPU us/request")
    section.rows = {name: [rates[name], cpu[name]] for name in (FORGETFUL, PLAIN)}
    section.checks = _versus("recording / none kept, requests/s", rates, PLAIN, FORGETFUL, 0.9)


def _memory(bench: Bench, section: Section) -> None:
    count = bench.plan.recorded
    child = Child("memory", str(count))
    try:
        found = child.wait_ready().hello
    finally:
        child.close()
    passed, seconds, grown = _passed(bench)
    section.columns = ("flows/s",)
    section.rows = {
        "recording": [[count / found["seconds"]]],
        "through the proxy": [[passed / seconds]],
    }
    section.checks = [
        Check("memory above the start", [found["grown"] / _MB], "MB", "<=", 120.0),
        Check("memory for each flow", [found["grown"] / count], "B", "<=", 500.0),
        Check("through the proxy: above the start", [grown / _MB], "MB", "<=", 120.0),
        Check("through the proxy: for each flow", [grown / passed], "B", "<=", 500.0),
    ]
    section.notes.append(f"{count:,} flows with bodies of 1 kB; {passed:,} through the proxy")


def _passed(bench: Bench) -> tuple[int, float, int]:
    """Flows that passed, in how many seconds, and by how many bytes the proxy has grown since."""
    passed, seconds = 0, 0.0
    with bench.subjects(PLAIN) as subjects:
        (subject,) = subjects.values()
        assert subject.usage is not None
        route = bench.route(subject, tls=False)
        load.keep_alive(route, _CONNECTIONS, 1.0, subject.usage.cpu_s)  # all is imported
        before = subject.usage.memory()
        while passed < bench.plan.passed:
            result = load.keep_alive(route, _CONNECTIONS, 1.0, subject.usage.cpu_s)
            passed += result.requests
            seconds += result.seconds
        time.sleep(1.0)  # all is written
        return passed, seconds, subject.usage.memory() - before


def _read(bench: Bench, section: Section) -> None:
    file = bench.folder()
    count = bench.plan.saved
    rates = Figures(list)
    commands = {PLAIN: [sys.executable, "-m", "tests.bench.reading", str(file), str(count)]}
    python = bench.mitmproxy_python
    if python is not None:
        commands[MITMDUMP] = [str(python), "-c", reading.FOREIGN, str(file)]
    for _ in range(bench.plan.rounds):
        for name, command in commands.items():
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, found = json.loads(done.stdout)
            if found != count:
                raise BenchError(f"{name} read {found} of {count} flows")
            rates[name].append(count / seconds)
        commands[PLAIN][-1] = "0"  # it is written
    section.columns = ("flows/s",)
    section.rows = {name: [rates[name]] for name in rates}
    section.checks = _versus("nbproxy / mitmproxy, flows/s", rates, PLAIN, MITMDUMP, 3.0)
    section.notes.append(f"{count:,} flows with bodies of 2 kB")


def _frame(bench: Bench, section: Section) -> None:
    child = Child("frame", str(bench.plan.flows), "10")
    try:
        found = child.wait_ready().hello
    finally:
        child.close()
    section.columns = ("ms",)
    section.rows = {"first frame": [[found["first_ms"]]]}
    section.checks = [
        Check("nbproxy.df after one more flow", found["one_more_ms"], "ms", "<", 20.0)
    ]
    section.notes.append(f"{bench.plan.flows:,} flows")


def _million(bench: Bench, section: Section) -> None:
    child = Child("million", str(bench.plan.rows), "10")
    try:
        found = child.wait_ready().hello
    finally:
        child.close()
    section.columns = ("bytes a row", "ms")
    section.rows = {
        "rows": [[found["rows_bytes"]], []],
        "rows, resident": [[found["rows_resident"]], []],
        "a frame, as pandas says": [[found["frame_bytes"]], []],
        "the first frame": [[], [found["first_ms"]]],
    }
    section.checks = [
        Check("rows and what frames share", [found["all_bytes"]], "bytes", "<", 150.0),
        Check("df after one more row", found["free_ms"], "ms", "<", 50.0, worst=True),
        Check("the same, earlier ones held", found["held_ms"], "ms", "<", 50.0, worst=True),
        Check("the same, when all is merged", [found["merging_ms"]], "ms", "<", 50.0, worst=True),
        *(
            Check(source, took, "ms", "<", 500.0, worst=True)
            for source, took in found["filters_ms"].items()
        ),
    ]
    section.notes.append(f"{bench.plan.rows:,} rows")


def _scan(bench: Bench, section: Section) -> None:
    file = bench.folder().with_suffix(".nbproxy")
    count = bench.plan.scanned
    took = Figures(list)
    one, two = "one process", "two processes"
    for _ in range(min(3, bench.plan.rounds)):
        for name, processes in ((one, 1), (two, 2)):
            command = [sys.executable, "-m", "tests.bench.scanning"]
            command += [str(file), str(count), str(processes)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, changes = json.loads(done.stdout.splitlines()[-1])
            if changes != 2 * count:
                raise BenchError(f"{name}: {changes} changes of {2 * count}")
            took[name].append(seconds)
    section.columns = ("s",)
    section.rows = {name: [took[name]] for name in took}
    section.checks = [
        Check("two processes, times as fast as one", pairs(took[one], took[two]), target=1.6)
    ]
    section.notes.append(f"{count:,} flows with bodies of 2 kB, on a local Dask cluster")


def _inspector(bench: Bench, section: Section) -> None:
    alone, shown = "no inspector", "an inspector in Chromium"
    steady, rates, cpu = Figures(list), Figures(list), Figures(list)
    messages, first, whole, scrolled = [], [], [], []
    seconds = 2 * bench.plan.seconds
    with InspectedKernel(bench.folder(), bench.confdir, bench.trusted, bench.plan.flows) as kernel:
        route = Route(bench.http_port, kernel.port, tls=False, stamped=True)
        load.keep_alive(route, _CONNECTIONS, bench.plan.seconds, kernel.usage.cpu_s)  # warm
        for _ in range(bench.plan.rounds):
            for name in (alone, shown):
                if name == shown:
                    kernel.show()
                    sent, since = kernel.settle(), time.perf_counter()
                result = load.paced(route, _CONNECTIONS, _PACE, seconds, kernel.usage.cpu_s)
                steady[name].append(result.rate)
                cpu[name].append(result.cpu_us)
                if name == shown:
                    took = time.perf_counter() - since
                    messages.append((kernel.messages() - sent) / took)
                rates[name].append(
                    load.keep_alive(
                        route, _CONNECTIONS, bench.plan.seconds, kernel.usage.cpu_s
                    ).rate
                )
                if name == shown:
                    kernel.hide()
        for _ in range(min(3, bench.plan.rounds)):
            ms = kernel.over_many()
            first.append(ms[0])
            whole.append(ms[1])
            scrolled.extend(ms[2])
    section.columns = (f"of {_PACE}/s", "CPU us/request", "full speed")
    section.rows = {name: [steady[name], cpu[name], rates[name]] for name in (alone, shown)}
    taken = [
        (more - less) * rate / 1e4
        for more, less, rate in zip(cpu[shown], cpu[alone], steady[shown], strict=True)
    ]
    section.checks = [
        *_versus(f"shown / none, of {_PACE} requests/s", steady, shown, alone, 0.9),
        Check("of a processor, for the widget, at that pace", taken, "%", "<=", 10.0),
        *_versus("shown / none, at full speed", rates, shown, alone),
        Check("batches of rows", messages, "/s", "<=", 10.0),
        Check("first rows", first, "ms", "<", 1000.0),
        Check("scrolled anywhere", scrolled, "ms", "<", 150.0, worst=True),
    ]
    section.notes.append(
        f"first rows and scrolling over {bench.plan.flows:,} flows; "
        f"all rows were there after {min(whole):,.0f} to {max(whole):,.0f} ms"
    )


_LOAD_CELL: Final = """
import time
started = time.perf_counter()
get_ipython().run_line_magic("load_ext", "nbproxy")
time.perf_counter() - started
"""


def _load_ext(bench: Bench, section: Section) -> None:
    confdir = bench.folder()
    took = []
    for _ in range(bench.plan.kernels + 1):
        with new_kernel(bench.folder()) as kernel:
            kernel.execute(setting(confdir, bench.trusted))
            took.append(float(kernel.execute(_LOAD_CELL).value or "nan"))
    section.columns = ("s",)
    section.rows = {"the first one ever": [took[:1]], "those after": [took[1:]]}
    section.checks = [
        Check("%load_ext nbproxy, first, makes the CA", took[:1], "s", "<", 0.5),
        Check("%load_ext nbproxy in a fresh kernel", took[1:], "s", "<", 0.5),
    ]


def _idle(bench: Bench, section: Section) -> None:
    figures: dict[str, list[list[float]]] = {}
    seconds = bench.plan.idle_s
    with new_kernel(bench.folder()) as kernel:
        usage = Usage(kernel.pid)

        def watch(name: str) -> None:
            kernel.execute("None")
            time.sleep(0.5)
            cpu_before, before = usage.cpu_s(), usage.wake_ups()
            time.sleep(seconds)
            cpu = (usage.cpu_s() - cpu_before) / seconds * 100
            figures[name] = [[cpu], [(usage.wake_ups() - before) / seconds]]

        watch("the kernel alone")
        kernel.execute(setting(bench.confdir, bench.trusted))
        kernel.execute("%load_ext nbproxy")
        watch("with nbproxy loaded")
        port = int(kernel.execute("nbproxy.port").value or 0)
        load.latency_us(Route(bench.http_port, port, tls=False), 10)
        watch("after some traffic")
    section.columns = ("CPU %", "wake-ups/s")
    section.rows = figures
    alone, *others = figures.values()
    more = [max(0.0, other[0][0] - alone[0][0]) for other in others]
    section.checks = [Check("more CPU than the kernel alone", more, "%", "<=", 1.0, worst=True)]


SCENARIOS: Final[dict[str, Scenario]] = {
    "http": Scenario(
        f"HTTP/1.1 keep-alive, {_CONNECTIONS} connections",
        _throughput(tls=False, fresh=False, target=5.0),
    ),
    "https": Scenario(
        f"HTTPS keep-alive, {_CONNECTIONS} connections",
        _throughput(tls=True, fresh=False, target=5.0),
    ),
    "handshakes": Scenario(
        f"HTTPS, a new client connection for each request, {_HANDSHAKES} at a time",
        _throughput(tls=True, fresh=True, target=3.0),
    ),
    "latency": Scenario("HTTP, one request at a time on one connection", _latency),
    "download": Scenario("HTTP, one large download", _download(tls=False)),
    "download-tls": Scenario("HTTPS, one large download", _download(tls=True)),
    "scripts": Scenario("HTTP with one header changed by a script of 2012", _scripts),
    "record": Scenario("HTTP recorded to disk, beside nothing kept", _record),
    "memory": Scenario("what recorded flows cost in memory", _memory),
    "read": Scenario("reading a file of saved flows", _read),
    "frame": Scenario("the DataFrame after one more flow", _frame),
    "million": Scenario("the DataFrame of a million rows", _million),
    "scan": Scenario("a script over many saved flows, on a local Dask cluster", _scan),
    "inspector": Scenario("an inspector shown in JupyterLab, traffic passing", _inspector),
    "load": Scenario("%load_ext nbproxy, imports included", _load_ext),
    "idle": Scenario("a kernel in which nothing happens", _idle),
}
