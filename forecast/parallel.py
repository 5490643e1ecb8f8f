"""Run parallel work by joblib: in processes of this machine, or on a cluster of Ray or Dask."""

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from forecast.errors import INSTALL, Setting, Unavailable, UsageError, did_you_mean

CLUSTER_RETRIES = 3  # how often a cluster repeats work that was lost with a worker
AUTO_CLUSTER = "auto"  # the cluster of Ray that this machine is a node of

Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # as `joblib.delayed` makes it

_workers: list[int] = []  # processes of the cluster in use, if any


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_cluster() -> bool:
    return bool(_workers)


def workers() -> int:
    """Return the number of workers: those of the cluster in use, or else the cores."""
    return _workers[-1] if _workers else cores()


def side_by_side(tasks: Iterable[Task], jobs: int) -> Generator[Any, None, None]:
    """Yield the results of tasks in order, each as soon as it is ready if the backend allows it."""
    if jobs == 1:
        return (function(*args, **named) for function, args, named in tasks)
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    results = "generator" if backend.supports_return_generator else "list"  # Ray cannot
    parallel = Parallel(n_jobs=workers() if on_cluster() else jobs, return_as=results)
    return (result for result in parallel(tasks))


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Run parallel work in the block on a cluster such as ray://10.0.0.5:10001, if one is named."""
    if address is None:
        yield
        return
    scheme, _, host = address.partition("://")
    setting = Setting("cluster", address)
    if scheme not in _CLUSTERS or not host:
        hint = did_you_mean(scheme, list(_CLUSTERS)) if scheme not in _CLUSTERS else ""
        cure = "write it as ray://HOST:PORT, ray://auto or dask://HOST:PORT"
        raise UsageError(f"no address of a cluster{hint}", setting=setting, cure=cure)
    with ExitStack() as stack:
        try:
            from joblib import parallel_config

            count, backend = _CLUSTERS[scheme](host, stack)
            if count < 1:
                raise RuntimeError("it has no worker")
            stack.enter_context(parallel_config(n_jobs=count, **backend))
            _workers.append(count)
        except ImportError:
            problem = f"the packages for {scheme} are not installed"
            cure = f"{INSTALL.format(scheme)}, on every machine"
            raise Unavailable(problem, setting=setting, cure=cure) from None
        except (OSError, RuntimeError, ValueError) as error:
            raise _build_error("the cluster does not answer", setting, error) from None
        stack.callback(_workers.pop)
        try:
            yield
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("ray", "distributed"):
                raise _build_error("the cluster gave up", setting, error) from None
            raise


def _build_error(problem: str, setting: Setting, error: Exception) -> Unavailable:
    reason = str(error).strip() or type(error).__name__
    first_line = reason.splitlines()[0][:200]
    return Unavailable(f"{problem}: {first_line}", setting=setting, cure="look at its own log")


def _ray(host: str, stack: ExitStack) -> tuple[int, dict[str, Any]]:
    """Use a cluster of Ray, which restarts workers: their number, and joblib's settings."""
    import ray
    from ray.util.joblib import register_ray

    # Ray prints what happens to its workers; data go to stdout
    stack.enter_context(redirect_stdout(sys.stderr))
    address = AUTO_CLUSTER if host == AUTO_CLUSTER else f"ray://{host}"
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", namespace="forecast")
    stack.callback(ray.shutdown)
    register_ray()
    retries = {"max_restarts": -1, "max_task_retries": CLUSTER_RETRIES, "num_cpus": 1}
    cpus = int(ray.cluster_resources().get("CPU", 0))
    return cpus, {"backend": "ray", "ray_remote_args": retries}


def _dask(host: str, stack: ExitStack) -> tuple[int, dict[str, Any]]:
    """Use a cluster of Dask, like `_ray`; its scheduler repeats lost work by itself."""
    from distributed import Client

    client = stack.enter_context(Client(f"tcp://{host}", timeout=10, set_as_default=False))
    threads = sum(client.nthreads().values())
    return threads, {"backend": "dask", "client": client}


_CLUSTERS = {"ray": _ray, "dask": _dask}
