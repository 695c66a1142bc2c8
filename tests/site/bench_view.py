"""How heavy and how fast the attention view is, beside bertviz on the same weights: `make bench-view`.

12 layers of 12 heads over 64 tokens, in headless Chromium, five fresh pages each, taking turns.
"""

import json
import os
import shutil
import statistics

import torch
from playwright.sync_api import Browser, sync_playwright

from helpers.attention import Attention
from helpers.viewer import bertviz_offline
from helpers.viewer.attention_view import attention_view

ROUNDS = 5
TOKENS = 64

HOVER = """async () => {
  const tokens = [...document.querySelector(".course-attention").shadowRoot.querySelectorAll(".token")];
  const times = [];
  for (const token of tokens) {
    const start = performance.now();
    token.dispatchEvent(new PointerEvent("pointerenter"));
    token.getBoundingClientRect();
    times.push(performance.now() - start);
    await new Promise((next) => requestAnimationFrame(next));
  }
  return Math.max(...times);
}"""


def milliseconds(browser: Browser, content: str, ready: str) -> tuple[float, float | None]:
    """From handing over the page's HTML to the drawing being there, and the slowest hover."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_content("<!doctype html><title>bench</title><main></main>")
    spent = page.evaluate(
        """async ([content, ready]) => {
          const start = performance.now();
          document.querySelector("main").append(document.createRange().createContextualFragment(content));
          const done = new Function(`return ${ready}`);
          while (!done()) await new Promise((next) => setTimeout(next, 1));
          await new Promise((next) => requestAnimationFrame(next));
          return performance.now() - start;
        }""",
        [content, ready],
    )
    slowest = page.evaluate(HOVER) if "course-attention" in content else None
    page.close()
    return spent, slowest


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.softmax(3 * torch.randn(12, 12, TOKENS, TOKENS, generator=generator), dim=-1)
    attention = Attention([f"token{i}" for i in range(TOKENS)], [0] * TOKENS, weights)
    bertviz_offline.MAX_BYTES = 10**9
    pages = {
        "ours": (attention_view(attention).data, "document.querySelector('.course-attention').dataset.drawn"),
        "bertviz model view": (
            bertviz_offline.model_view(attention).data,
            "document.querySelector('iframe').contentDocument?.querySelectorAll('svg line').length > 1000",
        ),
    }
    times: dict[str, list[tuple[float, float | None]]] = {name: [] for name in pages}
    with sync_playwright() as playwright:
        program = os.environ.get("COURSE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox"])
        for _ in range(ROUNDS):
            for name, (content, ready) in pages.items():
                times[name].append(milliseconds(browser, content, ready))
        browser.close()
    report = {}
    for name, (content, _) in pages.items():
        hovers = [hover for _, hover in times[name] if hover is not None]
        report[name] = {
            "megabytes": round(len(content.encode()) / 1e6, 2),
            "draw_ms": round(statistics.median(draw for draw, _ in times[name])),
            "slowest_hover_ms": round(statistics.median(hovers), 1) if hovers else None,
        }
        print(f"   {name}: {report[name]}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
