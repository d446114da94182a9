"""The files of a snapshot from what a person typed: everything the kernel would derive is derived.

Devices get indexes and MACs, addresses their routes, both ends of a veth pair each other. Nothing else is added: what
was not said is left out of the files, so that the model takes the kernel's default and says so (`assumed: ...`).
What is written is an ordinary snapshot: files to edit with any editor.
Source: ip-link(8), and `mcnilib.linux.netns` for what the kernel derives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.device.link import parse_links, print_links
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.linux.text import nearest
from mcnilib.snapshots.files import WORLD, Place, print_world
from mcnilib.snapshots.load import ROWS
from mcnilib.snapshots.question import pointed_at, print_listeners
from mcnilib.snapshots.typed.device import PAIRS, FarEnd, TypedDevice
from mcnilib.snapshots.typed.report import RULES_FILE, Statement, TypedHost, TypedReport, read_report
from mcnilib.world.commands import run_command
from mcnilib.world.listing import LISTINGS, Reading
from mcnilib.world.world import Port, Segment

DEVICE_FILE = "ip-address.txt"


def skeleton(text: str, source: str = "report") -> dict[str, str]:
    """Return the files of the snapshot that was typed: relative name -> text.

    Raises: StateSyntaxError, with line, column and a caret.
    """
    report = read_report(text, source)
    _pair(report)
    for host in report.hosts.values():
        _number(host)
    files = {name: text for host in report.hosts.values() for name, text in _files(host, report)}
    places = [Place(host.name, host.node) for host in report.hosts.values()]
    return {WORLD: print_world(places, _segments(report), report.complete), **files}


def _pair(report: TypedReport) -> None:
    """Give each end of a pair its other end, and check what devices stand on."""
    for host in report.hosts.values():
        for device, statement in [*host.devices.values()]:
            if device.far is None:
                continue
            there = _host(report, device.far, host, statement)
            if device.kind in PAIRS:
                _join(there, device, FarEnd(host.name, device.name, 0), statement)
            elif device.far.device not in there.devices:
                near = nearest(device.far.device, there.devices)
                what = tr("{host} has no device {name!r}{near}", host=there.name, name=device.far.device, near=near)
                raise statement.error(what, device.far.column)


def _host(report: TypedReport, far: FarEnd, host: TypedHost, statement: Statement) -> TypedHost:
    """Find the host of another end. Raises: StateSyntaxError."""
    name = far.host or host.name
    if name not in report.hosts:
        what = tr("there is no host or pod {name!r}{near}", name=name, near=nearest(name, report.hosts))
        raise statement.error(what, far.column)
    there = report.hosts[name]
    if there.node != host.node:
        what = tr("{name} is on another machine than {host}: plug both into a @SWITCH", name=name, host=host.name)
        raise statement.error(what, far.column)
    return there


def _join(there: TypedHost, near: TypedDevice, back: FarEnd, statement: Statement) -> None:
    """Make a device the other end of a pair, or the device, if nobody described it; its MTU is the same by default."""
    at = near.far or back
    device, where = there.devices.get(at.device, (TypedDevice(at.device), statement))
    if device.kind not in ("", near.kind) or (device.far and device.far[:2] != back[:2]) or device.segment:
        what = tr("{host}/{name} is no other end of {back}", host=there.name, name=at.device, back="/".join(back[:2]))
        raise statement.error(what, at.column)
    there.devices[at.device] = (replace(device, kind=near.kind, far=back, mtu=device.mtu or near.mtu), where)


def _number(host: TypedHost) -> None:
    """Give the devices their indexes, from 2, and MACs of their own."""
    taken = {device.index for device, _ in host.devices.values()} | {0, 1}
    for name, (device, statement) in host.devices.items():
        index = device.index or next(number for number in range(2, len(taken) + 3) if number not in taken)
        taken.add(index)
        digest = sha256(f"{host.name}/{name}".encode()).digest()
        mac = device.mac or ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
        host.devices[name] = (replace(device, index=index, mac=mac), statement)


def _files(host: TypedHost, report: TypedReport) -> Iterator[tuple[str, str]]:
    """Yield the files of a namespace: their names, and what they hold."""
    devices = [*_device_lines(host, report)]
    text = _text(line for line, _ in devices)
    netns = new_netns(host.name)
    loopback = print_links(netns.links)
    with _pointed(devices):
        links = parse_links(text, f"{host.name}/{DEVICE_FILE}", host.name, partial=True)
    for link in links:
        netns = add_link(netns, link)
    for file, statements in host.pasted.items():
        pasted = [(statement.text, statement) for statement in statements]
        with _pointed(pasted):
            netns = ROWS[file.removesuffix(".txt")].parse(
                netns, _text(line for line, _ in pasted), file, Reading(partial=True)
            )
    printed = _printed(_after(netns, host), host)
    if host.servers:
        printed["ss.txt"] = print_listeners(host.servers)
    for file, content in (printed | {DEVICE_FILE: loopback + text}).items():
        yield f"{host.name}/{file}", content


def _printed(netns: Netns, host: TypedHost) -> dict[str, str]:
    """Return the files as the tools print them; what was pasted stays as it is unless a command changed it."""
    edited = any(command.startswith("iptables") for command, _ in host.commands)
    kept = {
        file: _text(x.text for x in lines) for file, lines in host.pasted.items() if file != RULES_FILE or not edited
    }
    return {row.file: row.print(netns) for row in LISTINGS if row.print} | kept


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@contextmanager
def _pointed(lines: Sequence[tuple[str, Statement]]) -> Iterator[None]:
    """Point into what was typed where a line that came of it is wrong."""
    try:
        yield
    except StateSyntaxError as wrong:
        statement = lines[min(wrong.line, len(lines)) - 1][1]
        raise statement.at_word(wrong.what, wrong.text[wrong.column - 1 :]) from None


def _device_lines(host: TypedHost, report: TypedReport) -> Iterator[tuple[str, Statement]]:
    """Print the devices as `ip -d address show` does, each line with what it comes of."""
    for device, statement in sorted(host.devices.values(), key=lambda pair: pair[0].index):
        if device.master and device.master not in host.devices:
            near = nearest(device.master, host.devices)
            what = tr("{host} has no device {name!r}{near}", host=host.name, name=device.master, near=near)
            raise statement.at_word(what, device.master)
        for line in device.lines(*_other_end(device, host, report)):
            yield line, statement


def _other_end(device: TypedDevice, host: TypedHost, report: TypedReport) -> tuple[str, str]:
    """Return what follows the name of a device, and the namespace of its other end where that is another one."""
    if device.far is None:
        return "", ""
    there = report.hosts[device.far.host or host.name]
    index = there.devices[device.far.device][0].index
    by_name = there is host and device.kind not in PAIRS
    return f"@{device.far.device if by_name else f'if{index}'}", "" if there is host else there.name


def _after(netns: Netns, host: TypedHost) -> Netns:
    """Carry out what was typed, in its order. Raises: StateSyntaxError."""
    for command, statement in host.commands:
        try:
            netns = run_command(netns, command)
        except McniError as problem:
            wrong = pointed_at(problem, command, statement.number, 0)
            raise statement.at_word(wrong.what, command[wrong.column - 1 :]) from None
    return netns


def _segments(report: TypedReport) -> tuple[Segment, ...]:
    """Return the switches, each with what is plugged into it."""
    ports: dict[str, list[Port]] = {name: [] for name in report.switches}
    for host in report.hosts.values():
        for device, _ in host.devices.values():
            if device.segment:
                ports.setdefault(device.segment, []).append(Port(host.name, device.name))
    said = {name: report.switches.get(name, set()) for name in ports}
    return tuple(
        Segment(name, tuple(there), "reflects" in said[name], not report.complete and "alone" not in said[name])
        for name, there in ports.items()
    )
