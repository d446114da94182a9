"""How a service's chain chooses an endpoint, and what the endpoint's own chain does: KUBE-SVC, KUBE-SVL and KUBE-SEP.

Source: writeServiceToEndpointRules() and syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.cluster.kube_proxy.config import Line
from mcnilib.cluster.kube_proxy.view import View, endpoint_chain
from mcnilib.cluster.spec import Endpoint


def balance(view: View, chain: str, endpoints: tuple[Endpoint, ...]) -> Iterator[Line]:
    """Yield the choice between endpoints: the one used before (ClientIP affinity), else one by probability."""
    for endpoint in endpoints if view.service.affinity else ():
        sep = endpoint_chain(view.service, endpoint)
        words = (
            f"-m recent --rcheck --seconds {view.service.affinity} --reap --name {sep} --mask 255.255.255.255 --rsource"
        )
        text = f"-A {chain} {view.comment(f'{{}} -> {endpoint}')} {words} -j {sep}"
        yield Line(
            "nat", text, f"sends a client back to {endpoint} if it was there in the last {view.service.affinity} s"
        )
    for i, endpoint in enumerate(endpoints):
        text = f"-A {chain} {view.comment(f'{{}} -> {endpoint}')}{probability(len(endpoints) - i)}"
        why = f"chooses {endpoint}" + (f" in one of {len(endpoints) - i} cases" if i < len(endpoints) - 1 else "")
        yield Line("nat", f"{text} -j {endpoint_chain(view.service, endpoint)}", why)


def probability(n: int) -> str:
    """Return the match that holds in one of n cases, as iptables-save prints it; nothing for the last endpoint.

    Source: libxt_statistic.c keeps the probability as a multiple of 2**-31; kube-proxy writes it with ten decimals.
    """
    if n == 1:
        return ""
    kept = round(float(f"{1 / n:.10f}") * 2**31) / 2**31
    return f" -m statistic --mode random --probability {kept:.11f}"


def no_local(view: View, chain: str) -> Iterator[Line]:
    """Yield 1.24's answer where only local endpoints may be used and there are none."""
    words = view.comment("{} has no local endpoints")
    yield Line(
        "nat", f"-A {chain} {words} -j KUBE-MARK-DROP", "marks the packet for the kubelet's drop: no local endpoint"
    )


def endpoint_rules(view: View) -> Iterator[Line]:
    """Yield KUBE-SEP of every endpoint: hairpin masquerading and the rewriting of the destination."""
    s = view.service
    for endpoint in view.reachable:
        sep, words = endpoint_chain(s, endpoint), view.comment("{}")
        text = f"-A {sep} -s {endpoint.address}/32 {words} -j KUBE-MARK-MASQ"
        yield Line("nat", text, "a pod that reaches itself through the service must not see its own address")
        recent = f" -m recent --set --name {sep} --mask 255.255.255.255 --rsource" if s.affinity else ""
        text = f"-A {sep} -p {s.protocol} {words}{recent} -m {s.protocol} -j DNAT --to-destination {endpoint}"
        yield Line("nat", text, f"sends the connection to the endpoint {endpoint}")
