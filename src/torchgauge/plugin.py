"""The pytest plugin: options, the `gauge` fixture, `device` and `dtype` for the functions that ask for it.

Loaded in every pytest run of its users, so it imports nothing heavy and changes nothing until a function asks
for `gauge` or an option asks for measuring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torchgauge.measure.cases import Selection
    from torchgauge.measure.gauge import Gauge

COLLECTION = "torchgauge-collection"
ROUNDS = "torchgauge-rounds"
VISITS = "torchgauge-visits"
WORKER = "torchgauge-worker"
_GAUGE: pytest.StashKey[Any] = pytest.StashKey()
_BUDGETS = ("quick", "standard", "thorough")
_INSTRUMENTS = ("time", "memory", "profile", "instructions", "energy")
_HIDDEN = "(set by `torchgauge run`)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; all are `--gauge-…`, so that a project's own stay its own."""
    group = parser.getgroup("torchgauge", "measure benchmarks with torchgauge")
    add = group.addoption
    add(
        "--gauge-measure",
        action="store_true",
        help="measure the functions that take `gauge`, and write a run file",
    )
    add(
        "--gauge-results",
        metavar="DIR",
        default="results",
        help="folder of the run file (default: %(default)s)",
    )
    add("--gauge-file", metavar="FILE", help="the run file itself; one that exists is completed")
    add("--gauge-device", metavar="DEVICES", default="auto", help="auto, all, or a list such as cpu,cuda:1")
    add(
        "--gauge-dtype", metavar="DTYPES", help="a list such as float32,bfloat16, or all (default: by budget)"
    )
    add(
        "--gauge-budget",
        choices=_BUDGETS,
        default="standard",
        help="how much to measure (default: %(default)s)",
    )
    add(
        "--gauge-instruments",
        metavar="LIST",
        default="time",
        help=f"how to look at each case: {', '.join(_INSTRUMENTS)} (default: %(default)s)",
    )
    add(
        "--gauge-threads",
        metavar="N",
        help="threads within an operator on the CPU: a number, or all (default: torch's own choice)",
    )
    add("--gauge-no-ceilings", action="store_true", help="don't measure what the devices can do at the most")
    add("--gauge-rounds", type=int, metavar="N", help="passes over all cases (default: by budget)")
    add("--gauge-seed", type=int, metavar="N", help="seed of the order of the cases (default: drawn)")
    add("--gauge-processes", type=int, metavar="N", default=1, help=f"fresh processes of the run {_HIDDEN}")
    add("--gauge-process", type=int, metavar="N", default=0, help=f"which of them this one is {_HIDDEN}")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark; where measuring is asked for, bring in what measures."""
    config.addinivalue_line(
        "markers",
        "gauge(dtypes=[...], devices=[...], quick=[...], budget=...): narrow what torchgauge measures",
    )
    if not (config.getoption("gauge_measure") or config.getoption("gauge_file")):
        return
    from torchgauge.errors import TorchgaugeError

    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    worker: Any = config.pluginmanager.get_plugin(WORKER)

    def refuse(message: str) -> NoReturn:
        """End the session with one line; a worker prints it itself."""
        if worker is None:
            raise pytest.UsageError(message)
        worker.refusal = message
        raise pytest.UsageError

    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        refuse("pytest-xdist would measure in several processes at once; leave out -n")
    try:
        from torchgauge.measure.setup import plugins

        collection, rounds = plugins(config, worker, refuse)
        config.pluginmanager.register(collection, COLLECTION)
        config.pluginmanager.register(rounds, ROUNDS)
        config.pluginmanager.register(rounds.visits, VISITS)
    except ImportError as error:
        refuse(f"{error.name} is missing: pip install 'torchgauge[run]'")
    except TorchgaugeError as error:
        refuse(str(error))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `device` and `dtype` to a function that asks for our `gauge`, and to no other."""
    found = metafunc.definition._fixtureinfo.name2fixturedefs.get("gauge")
    if not found or getattr(found[-1].func, "__module__", "") != __name__:
        return
    from torchgauge.errors import TorchgaugeError
    from torchgauge.measure import cases

    try:
        cases.parametrize(metafunc, _selection(metafunc.config))
    except TorchgaugeError as error:
        collection: Any = metafunc.config.pluginmanager.get_plugin(COLLECTION)
        if collection is not None:  # pytest takes an error raised here for one of the file: refuse later
            collection.wrong_mark = str(error)
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def gauge(request: pytest.FixtureRequest) -> Iterator[Gauge]:
    """Measure one call: state its work with `gauge.work(…)`, then `gauge(fn, *args)`.

    In a plain pytest run, without `--gauge-measure`, the call is made once and nothing is recorded.
    """
    visits: Any = request.config.pluginmanager.get_plugin(VISITS)
    if visits is not None:
        yield _remembered(request, visits.gauge(request))
        return
    from torchgauge.measure.gauge import Gauge

    yield _remembered(request, Gauge())


def _remembered(request: pytest.FixtureRequest, made: Gauge) -> Gauge:
    request.node.stash[_GAUGE] = made
    return made


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Fail a function that took `gauge` and came to its end without measuring."""
    result = yield
    made: Any = pyfuncitem.stash.get(_GAUGE, None)
    if made is not None:
        made.finish()
    return result


def _selection(config: pytest.Config) -> Selection:
    """Give what was chosen for measuring; a plain pytest run rehearses on the CPU in the first dtype."""
    collection: Any = config.pluginmanager.get_plugin(COLLECTION)
    if collection is not None:
        chosen: Selection = collection.selection
        return chosen
    from torchgauge.measure.budget import BUDGETS
    from torchgauge.measure.cases import Selection

    return Selection(["cpu"], None, BUDGETS["quick"])
