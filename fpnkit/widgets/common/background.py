"""Work that takes seconds, in the background of a panel that stays responsive."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Runs one job at a time in a thread; of the jobs submitted meanwhile only the last one runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._state = threading.Condition()
        self._job: Callable[[], T] | None = None
        self._running = False
        self._done: Callable[[], T] | None = None

    def ask(self, job: Callable[[], T]) -> None:
        """Run this job and discard earlier ones, including one in progress."""
        with self._state:
            self._job, self._done = job, None
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name=f"fpnkit {self._name}", daemon=True).start()

    @property
    def pending(self) -> bool:
        """Whether there is a result, or will be one."""
        return self._running or self.ready

    @property
    def ready(self) -> bool:
        """Whether `result` is available now."""
        return self._done is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a result up to a limit; return whether there is one.

        Returns immediately if nothing was submitted.
        """
        with self._state:
            return self._state.wait_for(lambda: self.ready or not self._running, seconds) and self.ready

    def result(self) -> T:
        """The job's result, once, if `ready`; raises what the job raised."""
        with self._state:
            done, self._done = self._done, None
        assert done is not None
        return done()

    def _work(self) -> None:
        while True:
            with self._state:
                job, self._job = self._job, None
                if job is None:
                    self._running = False
                    self._state.notify_all()
                    return
            done = _outcome(job)
            with self._state:
                if self._job is None:
                    self._done = done
                    self._state.notify_all()


def _outcome(job: Callable[[], T]) -> Callable[[], T]:
    try:
        value = job()
    except Exception as error:
        caught = error

        def fail() -> T:
            raise caught

        return fail
    return lambda: value
