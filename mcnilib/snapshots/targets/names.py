"""Names a snapshot knows: of namespaces, pods and services, and the addresses they mean.

Pods and services are read from what `kubectl get pods -A -o wide` and `kubectl get services -A` printed, kept as
`pods.txt` and `services.txt` beside `world.json`; without them services are read from the comments of kube-proxy's
rules. An IPv6 address, a service without a cluster IP (headless) and a pod without an address have no line here.
Source: pkg/printers/internalversion/printers.go , pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from mcnilib.language import mark
from mcnilib.linux.netns import Netns
from mcnilib.linux.text import check_text, not_there

PODS_FILE, SERVICES_FILE = "pods.txt", "services.txt"
NAME_FILES = (PODS_FILE, SERVICES_FILE)
"""Files of names, beside `world.json`; both may be missing."""

SERVICE_CHAIN = "KUBE-SERVICES"
_SERVICE_RULE = re.compile(
    r'.* -d (?P<address>[\d.]+)/32 -p (?P<proto>tcp|udp) .*--comment "(?P<name>\S+) cluster IP" .*--dport (?P<port>\d+)'
)
_PORT = re.compile(r"(?P<port>\d+)(?::\d+)?/(?P<proto>TCP|UDP)")


@dataclass(frozen=True, slots=True)
class Name:
    """An address that something is called by: `name` in the Kubernetes namespace `namespace` (empty for none).

    `ports` are those of a service, each with its protocol; anything else takes every port.
    """

    kind: str  # pod, service or network namespace
    name: str
    address: IPv4Address
    namespace: str = ""
    ports: tuple[tuple[str, int], ...] = ()
    port_name: str = ""  # of the one port, where it has a name

    def __str__(self) -> str:
        return f"{self.kind} {self.spelt}" + (f":{self.port_name}" if self.port_name else "")

    @property
    def spelt(self) -> str:
        """The name as it is typed."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def is_called(self, text: str) -> bool:
        """Tell whether `text` means it: `web`, `default/web`, of a service also `web.default` and `web.default.svc...`.

        Source: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
        """
        if text in (self.name, self.spelt):
            return True
        dns = f"{self.name}.{self.namespace}"
        return self.kind == "service" and (text == dns or f"{text}.".startswith(f"{dns}.svc."))


def read_names(files: Mapping[str, str]) -> tuple[Name, ...]:
    """Return the pods and services that the files of a snapshot name. Raises: StateSyntaxError for no text."""
    for file in NAME_FILES:
        check_text(files.get(file, ""), file)
    pods = (_pod(row) for row in _rows(files.get(PODS_FILE, "")))
    services = (_service(row) for row in _rows(files.get(SERVICES_FILE, "")))
    return tuple(dict.fromkeys(name for name in (*pods, *services) if name))


def _rows(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the lines below each head that kubectl prints; columns are at least two spaces apart."""
    head: list[str] = []
    for line in text.splitlines():
        cells = re.split(r" {2,}", line.rstrip())
        if cells[0] == "NAMESPACE":
            head = cells
        elif head:
            yield dict(zip(head, cells, strict=False))


def _pod(row: Mapping[str, str]) -> Name | None:
    address = _address(row.get("IP", ""))
    return Name("pod", row["NAME"], address, row["NAMESPACE"]) if address and "NAME" in row else None


def _service(row: Mapping[str, str]) -> Name | None:
    address = _address(row.get("CLUSTER-IP", ""))
    if not address or "NAME" not in row:
        return None
    ports = tuple((match["proto"].lower(), int(match["port"])) for match in _PORT.finditer(row.get("PORT(S)", "")))
    return Name("service", row["NAME"], address, row["NAMESPACE"], ports)


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def services_in(netns: Netns, most: int = 1 << 31) -> Iterator[Name]:
    """Yield the services that kube-proxy's rules name, one for each port; none where there are more than `most`."""
    chains = (chain for table in netns.ip4.tables for chain in table.chains if chain.name == SERVICE_CHAIN)
    for chain in (chain for chain in chains if len(chain.summary.jumps) <= most):
        for rule in map(_SERVICE_RULE.match, map(str, chain.rules)):
            if rule:
                full, _, port_name = rule["name"].partition(":")
                namespace, _, name = full.rpartition("/")
                ports = ((rule["proto"], int(rule["port"])),)
                yield Name("service", name, IPv4Address(rule["address"]), namespace, ports, port_name)


def names_called(text: str, namespaces: Iterable[Netns], known: Iterable[Name]) -> list[Name]:
    """Return what may be meant by a name: network namespaces, pods and services. Raises: NotThere for nothing."""
    spaces, kept = list(namespaces), list(known)
    own = (
        Name("network namespace", netns.name, address)
        for netns in spaces
        if netns.name == text
        for address in netns.dialled_addresses
    )
    if not any(name.kind == "service" for name in kept):  # every node has rules for all of them
        kept += next(filter(None, (list(services_in(netns)) for netns in spaces)), [])
    meant = list(dict.fromkeys([*own, *(name for name in kept if name.is_called(text))]))
    if not meant:
        known_names = dict.fromkeys([*(netns.name for netns in spaces), *(name.spelt for name in kept)])
        raise not_there(mark("pod, service or namespace"), text, known_names, also=(name.name for name in kept))
    return meant
