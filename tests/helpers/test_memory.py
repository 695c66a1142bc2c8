import psutil
import torch

from helpers.memory import release_memory


def test_memory_of_deleted_tensors_goes_back_to_the_system():
    process = psutil.Process()
    blocks = [torch.ones(60_000) for _ in range(1_000)]  # 240 MB in blocks too small to be mapped one by one
    full = process.memory_info().rss
    keep = blocks[::100]
    del blocks
    release_memory()
    assert process.memory_info().rss < full - 150_000_000
    assert len(keep) == 10
