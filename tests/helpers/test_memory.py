import os
import platform
import subprocess
import sys
import time

import psutil
import pytest
import torch

from helpers import notebook
from helpers.memory import INTERVAL, MemoryWatch, held_together, own_peak, release_memory
from helpers.results import Cost


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back on request")
def test_memory_of_deleted_tensors_goes_back_to_the_system():
    process = psutil.Process()
    blocks = [torch.ones(60_000) for _ in range(1_000)]  # 240 MB in blocks too small to be mapped one by one
    full = process.memory_info().rss
    keep = blocks[::100]
    del blocks
    release_memory()
    assert process.memory_info().rss < full - 150_000_000
    assert len(keep) == 10


def test_the_peak_is_at_least_what_is_resident_now():
    assert own_peak() >= 0.9 * psutil.Process().memory_info().rss


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it():
    child = "from helpers.memory import own_peak; print(own_peak())"
    parent = (
        "import subprocess, sys; from helpers.memory import own_peak\n"
        "block = bytearray(400_000_000)\n"
        f"child = subprocess.run([sys.executable, '-c', {child!r}], capture_output=True, text=True, check=True)\n"
        "print(own_peak(), child.stdout)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    own, childs = map(int, done.stdout.split())
    assert own > 400_000_000 > childs > 10_000_000


def holding(megabytes: int) -> subprocess.Popen:
    """A process that holds this much, says so, and ends when its standard input does."""
    code = f"block = b'1' * {megabytes * 10**6}; print('held', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_watch_counts_what_child_processes_hold():
    watch = MemoryWatch()
    before = watch.peak_bytes
    watch.start()
    with holding(own_peak() // 10**6) as child:
        ended = time.monotonic() + 60
        while watch.peak_bytes == before and time.monotonic() < ended:
            watch.join(INTERVAL / 5)
        child.stdin.close()
    watch.end()
    watch.join(10)
    assert not watch.is_alive()
    assert watch.peak_bytes > before


@pytest.mark.skipif(sys.platform != "linux", reason="shared pages are told apart on Linux only")
def test_memory_that_a_forked_process_shares_counts_once():
    block = b"1" * 300_000_000
    alone = held_together([psutil.Process()])
    ask, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ask, 1)
        os._exit(0)
    both = held_together([psutil.Process(), psutil.Process(child)])
    os.write(answer, b"x")
    os.waitpid(child, 0)
    assert both < alone + 0.5 * len(block)


def test_a_process_that_has_ended_counts_nothing():
    with holding(1) as child:
        process = psutil.Process(child.pid)
        child.stdin.close()
    assert held_together([process]) == 0


def test_a_chapter_begins_one_watch_and_ends_with_its_cost(monkeypatch):
    recorded = {}
    monkeypatch.setattr(notebook, "glue", lambda **values: recorded.update(values))
    assert notebook.open_chapter() == notebook.open_chapter()
    [watch] = notebook._watches
    cost = notebook.close_chapter()
    watch.end()
    notebook._watches.clear()
    assert isinstance(cost, Cost)
    assert cost.peak_bytes >= 0.9 * psutil.Process().memory_info().rss
    assert recorded == {"cost_time": cost.time, "cost_memory": cost.memory, "cost_versions": cost.versions}
