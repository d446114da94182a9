"""Several snapshots as one: those of the nodes of a cluster, and the switches between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.errors import McniError
from mcnilib.language import mark, tr
from mcnilib.linux.text import names_of, not_there
from mcnilib.snapshots.files import NAME_LENGTH, WORLD, Names, Parts, Place, folder_name, parse_world, print_world
from mcnilib.snapshots.targets.flow_target import refuse_ipv6
from mcnilib.snapshots.targets.names import NAME_FILES
from mcnilib.world.json_form import link_lines, text_of
from mcnilib.world.world import Gateway, Port, Segment, Speaker

Files = Mapping[str, str]


class MergeError(McniError, ValueError):
    """Snapshots or segments that do not go together."""


def merged(parts: Sequence[Files], segments: Iterable[Segment] = ()) -> dict[str, str]:
    """Return the files of several snapshots as those of one; `segments` are added to their own.

    A namespace whose name is taken gets that of its machine in front, and a number if need be.
    Raises: StateSyntaxError for a file that cannot be read, NotThere for a port that is not there.
    """
    files: dict[str, str] = {}
    places: list[Place] = []
    by_name: dict[str, list[Segment]] = {}
    complete, taken = True, Names()
    for number, (part, (own, own_segments, whole)) in enumerate(zip(parts, _worlds(parts), strict=True)):
        names = _names(own, taken)
        places += [_renamed(place, names, number) for place in own]
        files |= {_moved(name, names): text for name, text in part.items() if name not in (WORLD, *NAME_FILES)}
        for segment in own_segments:
            ports = tuple(_plugged(port, names) for port in segment.ports)
            speakers = tuple(replace(each, port=_plugged(each.port, names)) for each in segment.speakers)
            by_name.setdefault(segment.name, []).append(replace(segment, ports=ports, speakers=speakers))
        complete = complete and whole
    added = tuple(segments)
    for segment in added:
        by_name.setdefault(segment.name, []).append(segment)
    joined = [_joined(same) for same in by_name.values()]
    _check(joined, places)
    _check_devices(added, files)
    called = {name: "".join(dict.fromkeys(part.get(name, "") for part in parts)) for name in NAME_FILES}
    return {WORLD: print_world(places, joined, complete), **{k: v for k, v in called.items() if v}, **files}


def of_cluster(machines: Iterable[Files], missing: Iterable[str], names: Files) -> dict[str, str]:
    """Return the files of a cluster: those of its machines, those of names, and machines nobody could collect."""
    unseen = ({WORLD: print_world([Place(name, name, name, collected=True)], (), complete=False)} for name in missing)
    return merged([*machines, *unseen]) | {name: text for name, text in names.items() if text}


def _worlds(parts: Sequence[Files]) -> list[Parts]:
    """Read what each snapshot consists of; a namespace without files is left out when another snapshot has them."""
    worlds = [parse_world(part.get(WORLD, "")) for part in parts]
    folders = [{name.partition("/")[0] for name in part} for part in parts]
    pairs = list(zip(worlds, folders, strict=True))
    there = {(place.node, place.called) for (places, *_), names in pairs for place in places if place.name in names}
    return [
        ([place for place in places if place.name in names or (place.node, place.called) not in there], segments, whole)
        for (places, segments, whole), names in pairs
    ]


def _names(own: Iterable[Place], taken: Names) -> dict[str, str]:
    """Choose a name for each namespace that nobody has yet."""
    names = {}
    for place in own:
        there = f"{place.node}.{place.name}"
        wanted = (place.name, *([there] if place.node and len(there.encode()) <= NAME_LENGTH else []))
        names[place.name] = taken.choose(*wanted)
    return names


def _renamed(place: Place, names: Mapping[str, str], number: int) -> Place:
    """Give a namespace its new name; without a machine's name, each snapshot counts as a machine of its own."""
    ids = {key: names.get(name, name) for key, name in place.ids.items()}
    called = place.called or (place.name if names[place.name] != place.name else "")
    return Place(names[place.name], place.node or (f"#{number + 1}" if number else ""), called, ids, place.collected)


def _moved(path: str, names: Mapping[str, str]) -> str:
    folder, _, file = path.partition("/")
    return f"{names[folder]}/{file}" if folder in names else path


def _plugged(port: Port, names: Mapping[str, str]) -> Port:
    return Port(names.get(port.netns, port.netns), port.link)


def _joined(same: Sequence[Segment]) -> Segment:
    """Return the segment that several of one name are: it has the ports of all."""
    ports = dict.fromkeys(port for segment in same for port in segment.ports)
    reflects, uplink = any(segment.reflects for segment in same), any(segment.uplink for segment in same)
    gateways = dict.fromkeys(segment.gateway for segment in same if segment.gateway)
    if len(gateways) > 1:
        addresses = names_of([str(gateway.address.ip) for gateway in gateways])
        raise MergeError(tr("{segment} has several gateways: {addresses}", segment=same[0].name, addresses=addresses))
    return Segment(same[0].name, tuple(ports), reflects, uplink, next(iter(gateways), None), _speakers(same))


def _speakers(same: Sequence[Segment]) -> tuple[Speaker, ...]:
    """Return who answers ARP in segments of one name. Raises: MergeError for two who answer for one address."""
    speakers = dict.fromkeys(speaker for segment in same for speaker in segment.speakers)
    by_address = {speaker.address: speaker for speaker in speakers}
    for speaker in speakers:
        if by_address[speaker.address] != speaker:
            raise MergeError(
                tr("two devices answer ARP for {address}: only one speaks at a time", address=speaker.address)
            )
    return tuple(speakers)


def _check(segments: Sequence[Segment], places: Iterable[Place]) -> None:
    names = {place.name for place in places}
    for segment in segments:
        if (segment.gateway or segment.speakers) and not segment.ports:
            raise not_there(mark("segment"), segment.name, (other.name for other in segments if other.ports))
    for port in (port for segment in segments for port in _named(segment)):
        if port.netns not in names:
            raise not_there(mark("network namespace"), port.netns, sorted(names))


def _named(segment: Segment) -> tuple[Port, ...]:
    return (*segment.ports, *(speaker.port for speaker in segment.speakers))


def _check_devices(segments: Iterable[Segment], files: Files) -> None:
    """Insist on devices that are there, where it was collected which there are."""
    ports = [port for segment in segments for port in _named(segment)]
    devices = {netns: _devices(files, netns) for netns in {port.netns for port in ports}}
    for port in ports:
        names = devices[port.netns]
        if names and port.link not in names:
            raise not_there(mark("device"), port.link, names, port.netns)


def _devices(files: Files, netns: str) -> list[str]:
    """Return the names of a namespace's devices; none where they were not collected."""
    stem = f"{netns}/ip-address"
    text = files.get(f"{stem}.txt", "")
    if not text and f"{stem}.json" in files:
        text = text_of(files[f"{stem}.json"], link_lines, f"{stem}.json")
    return re.findall(r"^\d+: ([^:@\s]+)[:@]", text, re.MULTILINE)


def read_segment(text: str) -> Segment:
    """Read `NAME=NETNS/DEVICE,NETNS/DEVICE,...`; others may be plugged in as well. Raises: MergeError."""
    name, equals, ports = text.partition("=")
    pairs = [port.rpartition("/") for port in ports.split(",")]
    if not equals or not all(netns and link for netns, _, link in pairs):
        raise MergeError(tr("{text!r} is not NAME=NETNS/DEVICE,NETNS/DEVICE,...", text=text))
    try:
        return Segment(folder_name(name), tuple(Port(netns, link) for netns, _, link in pairs), uplink=True)
    except ValueError as problem:
        raise MergeError(str(problem)) from None


def read_gateway(text: str) -> Segment:
    """Read `NAME=ADDRESS` or `NAME=ADDRESS/LENGTH`: the router of a segment, as a segment to be joined with it.

    Raises: MergeError.
    """
    refuse_ipv6(text)
    name, _, address = text.partition("=")
    try:
        return Segment(folder_name(name), (), gateway=Gateway(IPv4Interface(address)))
    except ValueError:
        raise MergeError(tr("{text!r} is not SEGMENT=ADDRESS, for example lan=192.168.0.1", text=text)) from None


def read_speaker(text: str) -> Segment:
    """Read `NAME=ADDRESS@NETNS/DEVICE`: who answers ARP for an address, as a segment to be joined with others.

    Raises: MergeError.
    """
    refuse_ipv6(text)
    name, _, rest = text.partition("=")
    address, _, place = rest.partition("@")
    netns, slash, device = place.rpartition("/")
    try:
        if not (netns and slash and device):
            raise ValueError(text)
        return Segment(folder_name(name), (), speakers=(Speaker(IPv4Address(address), Port(netns, device)),))
    except ValueError:
        raise MergeError(
            tr("{text!r} is not SEGMENT=ADDRESS@NETNS/DEVICE, for example lan=192.168.0.240@node1/eth0", text=text)
        ) from None


def read_cable(text: str) -> Segment:
    """Read a line about a segment: its ports, its gateway, or who answers ARP for an address. Raises: MergeError."""
    if re.fullmatch(r"[^=]*=[\d.]+@.*", text):
        return read_speaker(text)
    return read_gateway(text) if re.fullmatch(r"[^=]*=[\d./]+", text) else read_segment(text)
