"""Jobs side by side in threads, each on one core; their results are taken in order by the calling thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device
) -> Iterator[Result]:
    """Yield `function(job)` for each job, in order; on a CPU as many side by side as torch uses threads.

    What is yielded is taken by the calling thread, in which torch uses one thread meanwhile: threads of its own would
    wait for cores.
    """
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield from map(function, jobs)
        return
    waiting: deque[Future[Result]] = deque()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > count:  # few results may wait: each holds a tile
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(count)
