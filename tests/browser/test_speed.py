"""From a click to the painted picture, measured in the page: `pytest tests/browser/test_speed.py --benchmark-enable -s`.

Without --benchmark-enable two clicks are made, as a test that measuring works. No time is asserted here.
"""

from __future__ import annotations

from statistics import median, quantiles

import pytest

from browser.lab_page import new_page

FLAGSHIP = "07-macvlan-to-calico-across-nodes.ipynb"
LABELS = ("UDP", "TCP", "ICMP", "TCP", "VXLAN", "none", "UDP", "VXLAN", "TCP", "none")


@pytest.fixture(scope="module")
def opened(server, browser):
    with new_page(browser, server) as lab:
        yield lab.open(FLAGSHIP).run_all()


def test_click_to_painted_picture(opened, request) -> None:
    rounds = 6 if request.config.getoption("benchmark_enable") else 1
    labels = LABELS if rounds > 1 else LABELS[:2]
    panel = opened.page.locator(".jp-OutputArea:has(.mcni-stepper)").first
    times = []
    for label in labels * rounds:
        button = panel.locator(".widget-toggle-button", has_text=label).first
        times.append(opened.wait_idle().click_to_paint(button, "svg[role=img]"))
    assert len(times) == len(labels) * rounds
    if rounds > 1:
        p95 = quantiles(times, n=20)[-1]
        print(f"\nclick to painted picture: median {median(times):.0f} ms, p95 {p95:.0f} ms, {len(times)} clicks")
