"""How a notebook begins: the memory between its cells."""

from types import SimpleNamespace

import psutil
import pytest
from IPython.testing.globalipapp import start_ipython

from helpers import notebook
from helpers.notebook import GROWTH, close_chapter, open_chapter


@pytest.fixture
def cells(monkeypatch):
    """Ends a cell with so many bytes held; `released` counts how often memory was given back."""
    state = SimpleNamespace(held=500_000_000, released=0)

    class Process:
        def memory_info(self):
            return SimpleNamespace(rss=state.held)

    def release():
        state.released += 1

    monkeypatch.setattr(notebook.psutil, "Process", Process)
    monkeypatch.setattr(notebook, "release_memory", release)
    returner = notebook._Returner()

    def end(held: int) -> int:
        state.held = held
        returner(None)
        return state.released

    return end


def test_a_cell_that_lets_the_kernel_grow_much_gives_memory_back(cells):
    assert cells(500_000_000 + GROWTH) == 0
    assert cells(500_000_000 + 2 * GROWTH + 1) == 1


def test_growth_adds_up_over_cells_and_counts_from_the_least_held(cells):
    assert [cells(500_000_000 + step * GROWTH // 2) for step in range(4)] == [0, 0, 0, 1]
    assert cells(400_000_000) == 1
    assert cells(400_000_000 + GROWTH + 1) == 2


def test_a_second_opening_registers_nothing_more(monkeypatch):
    shell = start_ipython() or notebook.get_ipython()
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    monkeypatch.setattr(notebook, "_watches", [])
    before = list(shell.events.callbacks["post_run_cell"])
    open_chapter()
    open_chapter()
    added = [call for call in shell.events.callbacks["post_run_cell"] if call not in before]
    for call in added:
        shell.events.unregister("post_run_cell", call)
    notebook._watches[0].end()
    assert len(added) == 1


def test_the_cost_is_that_of_this_process(capsys):
    cost = close_chapter()
    assert cost.seconds > 0
    assert cost.peak_bytes >= psutil.Process().memory_info().rss * 0.5
