"""The hot paths of the package under validation, timed by pyperf."""

import pyperf
from calls import calls

if __name__ == "__main__":
    runner = pyperf.Runner()
    for name, (fn, args) in calls().items():
        runner.bench_func(name, fn, *args)
