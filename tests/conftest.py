"""Fixtures that several rooms of tests share."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import examples
from tests.support.kernels import LINES, Kernel, KernelPool, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

# How long an example takes, or to make one, is the machine's affair. On CI the examples are
# hypothesis's fixed ones.
settings.register_profile("nbproxy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nbproxy")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from the tests themselves: thousands, and none is garbage.

    Each look at all of them takes half a second, also where a test asks for one.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """Let the collector have what it was kept from."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what became of the official example scripts."""
    examples.show(terminalreporter)


@pytest.fixture(scope="session")
def kernel_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelPool]:
    """Kernels that are started once and lent to many tests."""
    pool = KernelPool(tmp_path_factory.mktemp("kernels"))
    yield pool
    pool.close()


@pytest.fixture(params=LINES)
def kernel(request: pytest.FixtureRequest, kernel_pool: KernelPool) -> Iterator[Kernel]:
    """A real kernel, of each ipykernel line in turn. Its names are empty, its modules are not."""
    kernel = kernel_pool.borrow(request.param)
    yield kernel
    kernel_pool.give_back(kernel)


@pytest.fixture
def kernel7(kernel_pool: KernelPool) -> Iterator[Kernel]:
    """A real kernel of the 7.x line, which alone has subshells."""
    kernel = kernel_pool.borrow("ipykernel7")
    yield kernel
    kernel_pool.give_back(kernel)


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels for one test alone: `start_kernel("ipykernel7", env={...})`."""
    kernels: list[Kernel] = []

    def start(line: Line, env: Mapping[str, str] | None = None) -> Kernel:
        kernel = Kernel(line, tmp_path / f"kernel-{len(kernels)}", env)
        kernels.append(kernel)
        kernel.start()
        return kernel

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture(params=LINES)
def fresh_kernel(request: pytest.FixtureRequest, start_kernel: Callable[..., Kernel]) -> Kernel:
    """A real kernel of each line for one test alone, which may restart or kill it."""
    return start_kernel(request.param)
