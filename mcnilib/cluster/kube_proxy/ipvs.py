"""kube-proxy in IPVS mode, 1.22 to 1.37: virtual servers, the device kube-ipvs0, IP sets, and a few rules around them.

Rules are there or not by whether a set has members; there is none for an endpoint, and none that drops INVALID packets.
Services are taken by name, addresses in their order (the real one walks both in random order).
Source: pkg/proxy/ipvs/proxier.go of kubernetes, read in lines of 1.20, 1.25, 1.28 and 1.33, and a log of 1.23; pull
requests 108460, 110628, 112950, 115019, 119791, 121919 tell the releases between. That 1.25 has the chains of
KUBE-PROXY-FIREWALL, that 1.29 has what 1.29.1 got, and that 1.30 to 1.37 write the same, is derived. Not written:
IPv6, SCTP. Felix's own chains for IPVS (cali-forward-check, cali-set-endpoint-mark) are not written either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address

from mcnilib.cluster.kube_proxy.config import KubeProxy, RuleLine, Rules
from mcnilib.cluster.kube_proxy.services import answering, masquerading
from mcnilib.cluster.kube_proxy.usable import LocalDetector, as_seen, heeded
from mcnilib.cluster.kube_proxy.view import ServiceView
from mcnilib.cluster.spec import Endpoint, HostSpec, Service
from mcnilib.language import mark
from mcnilib.linux.netfilter.ipset import IpSet, parse_sets
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer, arranged

_HASH, _RANGE = "family inet hashsize 1024 maxelem 65536", "range 0-65535"

_IP_PORT, _IP_PORT_IP, _IP_PORT_NET, _PORTS = "hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net", "bitmap:port"

IPVS_SETS = {
    "KUBE-LOOP-BACK": (_IP_PORT_IP, "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"),
    "KUBE-CLUSTER-IP": (_IP_PORT, "Kubernetes service cluster ip + port for masquerade purpose"),
    "KUBE-EXTERNAL-IP": (_IP_PORT, "Kubernetes service external ip + port for masquerade and filter purpose"),
    "KUBE-EXTERNAL-IP-LOCAL": (_IP_PORT, "Kubernetes service external ip + port with externalTrafficPolicy=local"),
    "KUBE-LOAD-BALANCER": (_IP_PORT, "Kubernetes service lb portal"),
    "KUBE-LOAD-BALANCER-FW": (
        _IP_PORT,
        "Kubernetes service load balancer ip + port for load balancer with sourceRange",
    ),
    "KUBE-LOAD-BALANCER-LOCAL": (
        _IP_PORT,
        "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
    ),
    "KUBE-LOAD-BALANCER-SOURCE-IP": (
        _IP_PORT_IP,
        "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
    ),
    "KUBE-LOAD-BALANCER-SOURCE-CIDR": (
        _IP_PORT_NET,
        "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
    ),
    "KUBE-NODE-PORT-TCP": (_PORTS, "Kubernetes nodeport TCP port for masquerade purpose"),
    "KUBE-NODE-PORT-LOCAL-TCP": (_PORTS, "Kubernetes nodeport TCP port with externalTrafficPolicy=local"),
    "KUBE-NODE-PORT-UDP": (_PORTS, "Kubernetes nodeport UDP port for masquerade purpose"),
    "KUBE-NODE-PORT-LOCAL-UDP": (_PORTS, "Kubernetes nodeport UDP port with externalTrafficPolicy=local"),
    "KUBE-NODE-PORT-SCTP-HASH": (_IP_PORT, ""),
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH": (_IP_PORT, ""),
    "KUBE-HEALTH-CHECK-NODE-PORT": (_PORTS, "Kubernetes health check node port"),
    "KUBE-IPVS-IPS": ("hash:ip", "Addresses on the ipvs interface"),
}
"""Each set, its type, and the comment of its rules."""

IPVS_SYSCTLS = {
    "net.ipv4.vs.conntrack": mark("conntrack must know the connections, or nothing can masquerade them"),
    "net.ipv4.vs.expire_nodest_conn": mark("a connection whose endpoint is gone ends when a packet comes"),
    "net.ipv4.vs.expire_quiescent_template": mark("a client does not come back to an endpoint that goes"),
    "net.ipv4.ip_forward": mark("the node forwards to endpoints elsewhere"),
}
"""What kube-proxy sets to 1, and why; vs.conn_reuse_mode only on kernels before 5.9."""

_SINCE = {"KUBE-IPVS-IPS": 26}
"""Minor versions before which there is no such set."""


@dataclass
class IpvsState:
    """What kube-proxy of one node keeps in IPVS mode: members of sets by name, virtual servers, bound addresses."""

    members: dict[str, list[str]] = field(default_factory=dict)
    servers: list[VirtualServer] = field(default_factory=list)
    bound: list[IPv4Address] = field(default_factory=list)

    def add(self, name: str, member: str) -> None:
        """Add a member to a set, once."""
        there = self.members.setdefault(name, [])
        if member not in there:
            there.append(member)


def ipvs_state(
    proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...], own: tuple[IPv4Address, ...]
) -> IpvsState:
    """Return what a node holds for its services; `own` are the addresses of its devices beside kube-ipvs0."""
    state = IpvsState()
    for service in as_seen(proxy, services):
        _serve(state, ServiceView(proxy, node, service), own)
    for address in state.bound if proxy.minor >= _SINCE["KUBE-IPVS-IPS"] else ():
        state.add("KUBE-IPVS-IPS", str(address))
    return state


def _serve(state: IpvsState, view: ServiceView, own: tuple[IPv4Address, ...]) -> None:
    s = view.service
    for endpoint in view.here:
        state.add("KUBE-LOOP-BACK", f"{_key(endpoint.address, s.protocol, endpoint.port)},{endpoint.address}")
    internal = view.here if view.internal_local and view.here else view.everywhere
    outside = view.here if view.external_local and view.here else view.everywhere
    state.add("KUBE-CLUSTER-IP", _key(s.cluster_ip, s.protocol, s.port))
    _listen(state, s, s.cluster_ip, s.port, internal)
    _bind(state, view.proxy, s.cluster_ip, ())
    for address in (*s.external_ips, *s.load_balancer_ips):
        _listen(state, s, address, s.port, outside)
        _bind(state, view.proxy, address, own)
    for address in s.external_ips:
        state.add(f"KUBE-EXTERNAL-IP{'-LOCAL' * view.external_local}", _key(address, s.protocol, s.port))
    _balance_load(state, view)
    _open_ports(state, view, own, outside)


def _key(address: IPv4Address, proto: str, port: int) -> str:
    return f"{address},{proto}:{port}"


def _listen(state: IpvsState, service: Service, address: IPv4Address, port: int, to: tuple[Endpoint, ...]) -> None:
    """Add a virtual server, with an endpoint's real server each."""
    virtual = VirtualServer(service.protocol, address, port, "rr", timeout=service.affinity)
    servers = tuple(RealServer(virtual.name, endpoint.address, endpoint.port) for endpoint in to)
    state.servers.append(VirtualServer(service.protocol, address, port, "rr", servers, timeout=service.affinity))


def _bind(state: IpvsState, proxy: KubeProxy, address: IPv4Address, own: tuple[IPv4Address, ...]) -> None:
    """Bind an address to kube-ipvs0; from 1.28 on not one that another device has (pull request 115019)."""
    if address not in state.bound and not (proxy.minor >= 28 and address in own):
        state.bound.append(address)


def _balance_load(state: IpvsState, view: ServiceView) -> None:
    """Fill the sets of load balancer addresses."""
    s = view.service
    for address in s.load_balancer_ips:
        key = _key(address, s.protocol, s.port)
        state.add("KUBE-LOAD-BALANCER", key)
        if view.external_local:
            state.add("KUBE-LOAD-BALANCER-LOCAL", key)
        if s.source_ranges:
            state.add("KUBE-LOAD-BALANCER-FW", key)
        for network in s.source_ranges:
            if network.prefixlen:  # ipset refuses 0.0.0.0/0
                state.add("KUBE-LOAD-BALANCER-SOURCE-CIDR", f"{key},{network}")
            if view.node.address.ip in network:
                state.add("KUBE-LOAD-BALANCER-SOURCE-IP", f"{key},{address}")


def _open_ports(
    state: IpvsState, view: ServiceView, own: tuple[IPv4Address, ...], outside: tuple[Endpoint, ...]
) -> None:
    """Serve the nodePort at every address of the node but those of loopback."""
    s = view.service
    if not s.node_port:
        return
    for name in ("", "-LOCAL") if view.external_local else ("",):
        state.add(f"KUBE-NODE-PORT{name}-{s.protocol.upper()}", str(s.node_port))
    for address in own:
        everywhere = view.proxy.answers_everywhere
        if not address.is_loopback and (everywhere or address in answering(view.proxy, own)):
            _listen(state, s, address, s.node_port, outside)
    if s.health_check_port:
        state.add("KUBE-HEALTH-CHECK-NODE-PORT", str(s.health_check_port))


def ipvs_servers(state: IpvsState) -> tuple[VirtualServer, ...]:
    """Return the virtual servers in the order of ipvsadm."""
    return arranged(state.servers)


def ipvs_sets(proxy: KubeProxy, state: IpvsState) -> tuple[IpSet, ...]:
    """Return all sets, empty ones too."""
    lines = []
    for name, (kind, _) in IPVS_SETS.items():
        if proxy.minor >= _SINCE.get(name, 0):
            lines.append(f"create {name} {kind} {_RANGE if kind == _PORTS else _HASH}")
            lines += [f"add {name} {member}" for member in state.members.get(name, ())]
    return parse_sets("\n".join(lines), "kube-proxy")


def ipvs_jumps(proxy: KubeProxy) -> Iterator[RuleLine]:
    """Yield the jumps in kube-proxy's order: each is put on top if it is missing."""
    portals = mark("to mark what has to be masqueraded on its way to a service")
    for chain in ("OUTPUT", "PREROUTING"):
        yield RuleLine("nat", _jump(chain, "KUBE-SERVICES", "kubernetes service portals"), portals)
    text = _jump("POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules")
    yield RuleLine("nat", text, mark("to masquerade the connections marked on their way in"))
    text = _jump("FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules")
    yield RuleLine("filter", text, mark("lets answers through where the FORWARD policy is DROP"))
    text = _jump("INPUT", "KUBE-NODE-PORT", "kubernetes health check rules")
    yield RuleLine("filter", text, mark("lets health checks in where the INPUT policy is DROP"))
    for chain in ("INPUT", "FORWARD") if proxy.minor >= 25 else ():
        text = _jump(chain, "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules")
        yield RuleLine("filter", text, mark("to enforce loadBalancerSourceRanges"))
    access = "kubernetes ipvs access filter"
    if proxy.minor >= 26:
        text = _jump("INPUT", "KUBE-IPVS-FILTER", access)
        yield RuleLine("filter", text, mark("keeps what is for no service away from the addresses of services"))
    if proxy.minor >= 29:
        text = _jump("OUTPUT", "KUBE-IPVS-OUT-FILTER", access)
        yield RuleLine("filter", text, mark("to enforce loadBalancerSourceRanges on the node itself"))


def _jump(chain: str, to: str, comment: str) -> str:
    return f'-A {chain} -m comment --comment "{comment}" -j {to}'


def ipvs_chains(proxy: KubeProxy) -> tuple[tuple[str, str], ...]:
    """Return the chains kube-proxy empties and writes."""
    nat = ["KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ"]
    late = ("KUBE-PROXY-FIREWALL", "KUBE-SOURCE-RANGES-FIREWALL") if proxy.minor >= 25 else ()
    nat += [] if late else ["KUBE-FIREWALL"]
    names = ["KUBE-FORWARD", "KUBE-NODE-PORT", *late]
    names += ["KUBE-IPVS-FILTER"] if proxy.minor >= 26 else []
    names += ["KUBE-IPVS-OUT-FILTER"] if proxy.minor >= 29 else []
    return (*(("nat", name) for name in nat), *(("filter", name) for name in names))


class _RuleWriter:
    """Writes the rules of one node."""

    def __init__(self, proxy: KubeProxy, node: HostSpec, state: IpvsState, services: tuple[Service, ...]) -> None:
        self.proxy, self.node, self.state, self.services = proxy, node, state, services

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the rules with their tables, in order."""
        yield from (("nat", text) for text in (*self._services(), *self._node_ports(), *self._load_balancers()))
        if self._full("KUBE-LOOP-BACK"):
            yield "nat", f"-A KUBE-POSTROUTING {self._noted('KUBE-LOOP-BACK', 'dst,dst,src')} -j MASQUERADE"
        yield from (("nat", line.text) for line in masquerading(self.proxy))
        table = "filter" if self.proxy.minor >= 25 else "nat"
        yield from ((table, text) for text in self._ranges())
        yield from (("filter", text) for text in self._filter())

    def _full(self, name: str) -> bool:
        return bool(self.state.members.get(name))

    @staticmethod
    def _noted(name: str, what: str) -> str:
        return f'-m comment --comment "{IPVS_SETS[name][1]}" -m set --match-set {name} {what}'

    def _services(self) -> Iterator[str]:
        chain = "-A KUBE-SERVICES"
        if self.proxy.minor >= 26:
            yield f"{chain} -s 127.0.0.0/8 -j RETURN"
        if self._full("KUBE-LOAD-BALANCER"):
            yield f"{chain} {self._noted('KUBE-LOAD-BALANCER', 'dst,dst')} -j KUBE-LOAD-BALANCER"
        if self._full("KUBE-CLUSTER-IP"):
            pods = LocalDetector.of(self.proxy, self.node)
            source = f" ! {pods.inside}" if pods and not self.proxy.masquerade_all else ""
            what = "dst,dst" if source or self.proxy.masquerade_all else "src,dst"
            yield f"{chain}{source} {self._noted('KUBE-CLUSTER-IP', what)} -j KUBE-MARK-MASQ"
        yield from self._external()
        yield f"{chain} -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT"
        for name in ("KUBE-CLUSTER-IP", "KUBE-LOAD-BALANCER"):
            if self._full(name):
                yield f"{chain} -m set --match-set {name} dst,dst -j ACCEPT"

    def _external(self) -> Iterator[str]:
        for name in ("KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
            if self._full(name):
                rule = f"-A KUBE-SERVICES {self._noted(name, 'dst,dst')}"
                if not name.endswith("LOCAL"):
                    yield f"{rule} -j KUBE-MARK-MASQ"
                yield f"{rule} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT"
                yield f"{rule} -m addrtype --dst-type LOCAL -j ACCEPT"

    def _node_ports(self) -> Iterator[str]:
        for proto in ("tcp", "udp"):
            for local, target in (("-LOCAL", "RETURN"), ("", "KUBE-MARK-MASQ")):
                name = f"KUBE-NODE-PORT{local}-{proto.upper()}"
                if self._full(name):
                    yield f"-A KUBE-NODE-PORT -p {proto} {self._noted(name, 'dst')} -j {target}"

    def _load_balancers(self) -> Iterator[str]:
        chain = "-A KUBE-LOAD-BALANCER"
        if self._full("KUBE-LOAD-BALANCER-FW") and self.proxy.minor < 25:
            yield f"{chain} {self._noted('KUBE-LOAD-BALANCER-FW', 'dst,dst')} -j KUBE-FIREWALL"
        if self._full("KUBE-LOAD-BALANCER-LOCAL"):
            yield f"{chain} {self._noted('KUBE-LOAD-BALANCER-LOCAL', 'dst,dst')} -j RETURN"
        yield f"{chain} -j KUBE-MARK-MASQ"

    def _ranges(self) -> Iterator[str]:
        """Yield who may ask a load balancer; before 1.25 the others were marked for the kubelet's KUBE-FIREWALL."""
        late = self.proxy.minor >= 25
        chain, end = ("KUBE-SOURCE-RANGES-FIREWALL", "DROP") if late else ("KUBE-FIREWALL", "KUBE-MARK-DROP")
        if late and self._full("KUBE-LOAD-BALANCER-FW"):
            yield f"-A KUBE-PROXY-FIREWALL {self._noted('KUBE-LOAD-BALANCER-FW', 'dst,dst')} -j {chain}"
        for name in ("KUBE-LOAD-BALANCER-SOURCE-CIDR", "KUBE-LOAD-BALANCER-SOURCE-IP"):
            if self._full(name):
                yield f"-A {chain} {self._noted(name, 'dst,dst,src')} -j RETURN"
        yield f"-A {chain} -j {end}"

    def _filter(self) -> Iterator[str]:
        marked = '-m comment --comment "kubernetes forwarding rules" -m mark --mark'
        marked = f"{marked} {self.proxy.masquerade_mark}/{self.proxy.masquerade_mark}"
        known = '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack'
        yield f"-A KUBE-FORWARD {marked} -j ACCEPT"
        yield f"-A KUBE-FORWARD {known} --ctstate RELATED,ESTABLISHED -j ACCEPT"
        yield f"-A KUBE-NODE-PORT {self._noted('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT"
        if self.proxy.minor >= 26:
            yield from self._access()
        if self.proxy.minor >= 29:
            yield from self._access_from_here()

    def _access(self) -> Iterator[str]:
        """Yield what else may use the addresses of services: nothing."""
        late = ("KUBE-EXTERNAL-IP-LOCAL",) if self.proxy.minor >= 29 else ()
        for name in ("KUBE-LOAD-BALANCER", "KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", *late):
            yield f"-A KUBE-IPVS-FILTER -m set --match-set {name} dst,dst -j RETURN"
        yield "-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN"
        new = "-m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst"
        yield f"-A KUBE-IPVS-FILTER {new} -j REJECT --reject-with icmp-port-unreachable"

    def _access_from_here(self) -> Iterator[str]:
        numbers = {"tcp": 6, "udp": 17}
        for s in (heeded(self.proxy, service) for service in self.services):
            allowed = any(self.node.address.ip in network for network in s.source_ranges)
            for ip in s.load_balancer_ips if s.source_ranges and not allowed else ():
                what = f"-m ipvs --vproto {numbers[s.protocol]} --vaddr {ip} --vport {s.port}"
                yield f"-A KUBE-IPVS-OUT-FILTER -s {ip}/32 {what} -j DROP"


WHY_IPVS = mark("kube-proxy's IPVS mode: what is masqueraded, and who may use the addresses of services")


def ipvs_rules(proxy: KubeProxy, node: HostSpec, state: IpvsState, services: tuple[Service, ...]) -> Rules:
    """Return the chains kube-proxy owns in IPVS mode and their rules."""
    lines = _RuleWriter(proxy, node, state, services).lines()
    return Rules(ipvs_chains(proxy), tuple(RuleLine(table, text, WHY_IPVS) for table, text in lines))


@lru_cache(maxsize=1024)
def ipvs_written(
    proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...], own: tuple[IPv4Address, ...]
) -> tuple[Rules, tuple[IpSet, ...], tuple[VirtualServer, ...], tuple[IPv4Address, ...]]:
    """Return rules, sets, virtual servers and the addresses of kube-ipvs0."""
    state = ipvs_state(proxy, node, services, own)
    rules = ipvs_rules(proxy, node, state, services)
    return rules, ipvs_sets(proxy, state), ipvs_servers(state), tuple(state.bound)
