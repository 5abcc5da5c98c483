"""The sessions of torchgauge: `python3 noxfile.py -s bench -- --budget quick`, or `nox -s bench -- …`.

A fresh machine needs Python 3.11 with pip for them, and nothing else: only the standard library is used
here, and the stand-in at the end takes nox's place. All sessions share one environment, .nox/env, because
torch is large. Under nox a failed session ends with nox's own 1, here with the exit code of its command.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the one line that an older Python has to be able to say
    sys.exit(f"torchgauge needs Python 3.11 or later, this is {sys.version.split()[0]}: use a newer python3")

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import site
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NOX = ROOT / ".nox"

# What the sessions import; but for xdist, pip's names differ from these by `_` for `-` alone.
MEASURE = ("torch", "numpy", "pytest", "pytest_benchmark", "msgspec", "rich")
REPORT = ("numpy", "pandas", "matplotlib", "jinja2", "msgspec", "rich")
BOTH = tuple(dict.fromkeys(MEASURE + REPORT))
LINT = (*BOTH, "ruff", "mypy")  # mypy reads the types of all that src/ imports
TESTS = (*BOTH, "hypothesis", "jsonschema", "scipy", "duckdb", "xdist")

# --- sessions: functions of a nox session, or of the stand-in ------------------------------------------


def bench(session, *options):
    """Measure the catalogue on the best device there is, show it and write the page."""
    # Under --no-venv what the page needs may be missing: the command then measures and says so.
    run(session, ready(session, MEASURE), "torchgauge", "run", "--report", *options, *session.posargs)


def bench_cpu(session):
    """Measure the catalogue on the CPU."""
    bench(session, "--device", "cpu")


def bench_gpu(session):
    """Measure the catalogue on the GPU that torch calls cuda."""
    # Said before anything is installed. Where the driver is there and torch can't use it, the command
    # says so. /dev/kfd is ROCm's.
    if not (nvidia_driver() or Path("/dev/kfd").exists()):
        session.error("no GPU driver on this machine: install NVIDIA's, or measure the CPU with -s bench-cpu")
    bench(session, "--device", "cuda")


def profile(session):
    """Say what each hot path is made of: operators, kernels, copies; with a trace a case."""
    bench(session, "--instruments", "profile", "--budget", "quick")


def instructions(session):
    """Count the instructions of each hot path, on one thread under valgrind."""
    bench(session, "--instruments", "instructions", "--device", "cpu", "--budget", "quick")


def regress(session):
    """Tell whether the hot paths became slower since another version: -- --base main."""
    if not any(word.partition("=")[0] == "--base" for word in session.posargs):
        session.error("say what to compare with: -s regress -- --base main")
    # here the benchmarks are the code under test
    usual = ("--bench-from", "each", "--minutes", "20")
    run(session, ready(session, BOTH), "torchgauge", "ab", *usual, *session.posargs)


def aa(session):
    """Measure this version against itself: the machine's noise, and the gate's false alarms."""
    run(session, ready(session, BOTH), "torchgauge", "aa", "--minutes", "20", *session.posargs)


def report(session):
    """Write results/report.html from results/*.jsonl, or what the arguments say."""
    found = (path for path in ROOT.glob("results/*.jsonl") if not path.name.endswith(".ab.jsonl"))
    runs = sorted(str(path.relative_to(ROOT)) for path in found)
    if not (runs or session.posargs):
        session.error("no run file in results/: measure with -s bench, or name one after --")
    arguments = session.posargs or [*runs, "-o", "results/report.html"]
    run(session, ready(session, REPORT), "torchgauge", "report", *arguments)


def lint(session):
    """Check format, code and types."""
    python = ready(session, LINT)
    run(session, python, "ruff", "format", "--check", ".")
    run(session, python, "ruff", "check", ".")
    run(session, python, "mypy")


def tests(session):
    """Run the tests, two at once (-n 0: one by one); arguments go to pytest."""
    run(session, ready(session, TESTS), "pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


def validate(session):
    """Check the sampler: waits of known length, worlds of known truth, runs that repeat (14 minutes)."""
    session.run(ready(session, TESTS), "tests/validation/validate.py", *session.posargs, external=True)


SESSIONS = {
    f.__name__.replace("_", "-"): f
    for f in (
        bench,
        bench_cpu,
        bench_gpu,
        profile,
        instructions,
        regress,
        aa,
        report,
        lint,
        tests,
        validate,
    )
}


def run(session, python, *module):
    """Run a module with `python`; under nox too with stderr apart and time to close files on Ctrl-C."""
    session.run(python, "-m", *module, external=True, stderr=None, interrupt_timeout=60, terminate_timeout=60)


# --- the Python that runs them -------------------------------------------------------------------------


def no_venv():
    """Return whether --no-venv was given; nox knows the option too, but doesn't tell its sessions."""
    return "--no-venv" in sys.argv[: sys.argv.index("--") if "--" in sys.argv else None]


def settle():
    """Make the process environment agree with the options, for every command that follows."""
    if no_venv():  # PYTHONPATH stays behind ours: clusters put their torch there
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *([inherited] if inherited else [])])
        return
    # Each of these would install elsewhere, or bring the packages of elsewhere.
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"):
        os.environ.pop(name, None)
    # Set rather than removed: pip's configuration files may say `user` as well, and this wins.
    os.environ.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")


def ready(session, modules):
    """Return a Python that has `modules`: that of .nox/env, or with --no-venv the one at hand."""
    if not no_venv():
        return environment(session)
    if lacking := missing(sys.executable, modules):
        cure = f"`{sys.executable} -m pip install {names(lacking)}`, or leave out --no-venv"
        session.error(f"{sys.executable} lacks {names(lacking)}: {cure}")
    return sys.executable


def missing(python, modules):
    """Return those of `modules` that `python` can't find, without importing them: all if it won't start."""
    code = "import sys, importlib.util as u; print(*[m for m in sys.argv[1:] if not u.find_spec(m)])"
    try:
        found = subprocess.run([python, "-P", "-c", code, *modules], capture_output=True, text=True)
    except OSError:
        return list(modules)
    return list(modules) if found.returncode else found.stdout.split()


def names(modules):
    """Return the modules as pip calls them."""
    return " ".join("pytest-xdist" if name == "xdist" else name.replace("_", "-") for name in modules)


def environment(session):
    """Return the Python of .nox/env, which is made anew unless it is whole and what is wanted today."""
    if Path(sys.prefix).resolve().parent == NOX:  # somebody activated it: it can't be cleared under itself
        return sys.executable
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    torch, shared = torch_choice()
    # One that shares a torch is small, and one more: starting with that Python costs the other nothing.
    env = NOX / (f"env-{digest(shared)[:8]}" if shared else "env")
    wanted = stamp(project, (ROOT / "constraints.txt").read_text("utf-8"), [torch, shared, str(env)])
    python, written, whole = str(env / "bin" / "python"), env / "stamp", {*LINT, *TESTS, "torchgauge"}
    NOX.mkdir(exist_ok=True)
    with (NOX / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two sessions started at once make one environment
        if written.exists() and written.read_text() == wanted and not missing(python, whole):
            return python
        session.log(f"making .nox/{env.name}, which takes minutes and happens once")
        # --without-pip: Debian's Python may lack ensurepip. --clear takes the stamp away with the rest.
        session.run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(env), external=True)
        # Not --system-site-packages, which passes over a parent that is itself an environment. Plain lines
        # while pip runs, which its isolated builds know to leave out; then lines that follow the parent's
        # own .pth files too, for a torch that is installed editable.
        pth = next(env.glob("lib/python*/site-packages")) / "shared.pth"
        pth.write_text("".join(f"{folder}\n" for folder in shared))
        # The groups are read here, because pip knows --group only since 25.1.
        groups = [requirement for g in ("test", "lint") for requirement in project["dependency-groups"][g]]
        session.run(*pip(session, python), "install", *torch, "-e", ".[run,report]", *groups, external=True)
        pth.write_text("".join(f"import site; site.addsitedir({folder!r})\n" for folder in shared))
        if lacking := missing(python, whole):
            session.error(f"pip left out {names(lacking)}: see what `pip config list` says of its settings")
        written.write_text(wanted)
    return python


def pip(session, python):
    """Return the command that is pip for the environment of `python`."""
    ours = [sys.executable, "-m", "pip", "--python", python]
    if subprocess.run([*ours, "--version"], capture_output=True).returncode == 0:
        return ours
    # A pip before 22.3, or none, as where nox has an environment of its own.
    if subprocess.run([python, "-m", "ensurepip"], capture_output=True).returncode:
        session.error(f"{sys.executable} has neither pip 22.3 nor ensurepip: install pip, or add --no-venv")
    return [python, "-m", "pip"]


def stamp(project, constraints, choice):
    """Return a hash of all that decides what is installed; a changed lint rule is no part of it."""
    tables = [project.get(name) for name in ("build-system", "project", "dependency-groups")]
    tables.append(project.get("tool", {}).get("setuptools"))
    return digest([tables, constraints, choice, sys.version_info[:2]])


def digest(parts):
    """Return a hash of what JSON can say."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def torch_choice():
    """Return pip's arguments that settle which torch is used, and the package folders to share for it."""
    # In these folders alone, so that PYTHONPATH has no say.
    folders = [*([site.getusersitepackages()] if site.ENABLE_USER_SITE else []), *site.getsitepackages()]
    torch, numpy = (next(iter(distributions(name=name, path=folders)), None) for name in ("torch", "numpy"))
    if torch and new_enough(torch.version):
        # A vendor's build fits its driver and its numpy: pip is to replace neither.
        return [f"{kept.name}=={kept.version}" for kept in (torch, numpy) if kept], folders
    if sys.platform == "linux" and not nvidia_driver():
        return ["-c", "constraints.txt"], []  # the CPU build rather than gigabytes of CUDA
    return [], []


def new_enough(version):
    """Return whether pip takes this torch for 2.6 or later: 2.8.0a0+vendor is, 2.6.0a0 comes before 2.6."""
    major, minor, rest = re.match(r"(\d+)\.?(\d*)(.*)", version).groups()
    release = (int(major), int(minor or 0))
    return release > (2, 6) or (release == (2, 6) and not re.match(r"[.0]*(a|b|rc|dev)", rest))


def nvidia_driver():
    """Return whether NVIDIA's driver is on this machine, whatever torch makes of it."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


# --- the stand-in for nox ------------------------------------------------------------------------------


class Session:
    """As much of nox's session as is used here."""

    def __init__(self, name, posargs):
        self.name, self.posargs = name, posargs

    def log(self, message):
        """Say it on stderr: stdout is for results."""
        print(f"{self.name}: {message}", file=sys.stderr, flush=True)

    def error(self, message):
        """End the session with one line and exit code 2."""
        self.log(message)
        raise SystemExit(2)

    def run(self, *command, **_nox):
        """Run a command; if it fails, end the session with its exit code."""
        process, interrupted, patience = subprocess.Popen(command), False, None
        while True:
            try:
                code = process.wait(patience)
                break
            except KeyboardInterrupt:  # a terminal tells the command too, which then closes its files
                interrupted, patience = True, 10
            except subprocess.TimeoutExpired:  # only this process was told, or the command doesn't listen
                process.terminate()
                patience = None
        if interrupted or code:
            raise SystemExit(130 if interrupted else code if code > 0 else 128 - code)


def main(arguments):
    """Run the named sessions, all of them, and return the first exit code that is not 0."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("-s", "--session", "--sessions", nargs="+", action="extend", metavar="NAME")
    parser.add_argument("-l", "--list", action="store_true", help="list the sessions, as without -s")
    parser.add_argument("--no-venv", action="store_true", help="use this Python as it is, install nothing")
    chosen = parser.parse_args(arguments[:cut])
    if chosen.list or not chosen.session:
        print("\n".join(f"{name:12} {function.__doc__}" for name, function in SESSIONS.items()))
        return 0
    if unknown := [name for name in chosen.session if name not in SESSIONS]:
        print(f"no session {unknown[0]!r}: there are {', '.join(SESSIONS)}", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    settle()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a CI's or a cluster's end closes files too
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job begins with it ignored
    codes = {}
    for name in chosen.session:
        try:
            SESSIONS[name](Session(name, arguments[cut + 1 :]))
        except KeyboardInterrupt:
            return 130
        except SystemExit as end:
            codes[name] = end.code
            if end.code == 130:
                return 130
    if codes and len(chosen.session) > 1:  # what failed may lie screens above
        print("failed:", *(f"{name} (exit code {code})" for name, code in codes.items()), file=sys.stderr)
    return next(iter(codes.values()), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
elif nox := sys.modules.get("nox"):  # nox is reading this file
    settle()
    nox.options.sessions = []  # `nox` alone lists the sessions, as `python3 noxfile.py` does
    for session_name, function in SESSIONS.items():
        nox.session(function, name=session_name, venv_backend="none")
