"""What can change in a namespace without new devices, as text for the tools; and rule handles back to rules."""

from __future__ import annotations

from mcnilib.errors import McniError
from mcnilib.kernel.observe.capture import Matched, probe_table
from mcnilib.kernel.observe.netlink import rule_handles
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.ipset import print_sets
from mcnilib.linux.netfilter.iptables.edit import empty_table
from mcnilib.linux.netfilter.iptables.match.misc import NfAcct
from mcnilib.linux.netfilter.iptables.rule import Chain
from mcnilib.linux.netfilter.iptables.save import print_tables
from mcnilib.linux.netfilter.ipvs.service import print_services
from mcnilib.linux.netfilter.nftables.rule import NftChain, print_ruleset
from mcnilib.linux.netns import Netns


def empty(netns: Netns) -> Netns:
    """Return the namespace as it is when it has just its devices and addresses."""
    return Netns(netns.name, netns.links)


def clearing(old: Netns, new: Netns) -> str:
    """Return nft commands that remove tables which go, and put the probes there when they must be new."""
    kept = {table.name for table in new.ip4.tables} if old.sets == new.sets else set()
    lines = [f"delete table ip {table.name}" for table in old.ip4.tables if table.name not in kept]
    lines += [f"delete table {table.title}" for table in old.ip4.nft if _are_made_anew(old, new)]
    if old == empty(new) or old.ip4.tracks != new.ip4.tracks:
        lines.append(probe_table(tracked=new.ip4.tracks))
    return "\n".join(lines)


def set_changes(old: Netns, new: Netns) -> str:
    """Return `ipset restore` commands that replace all sets."""
    if old.sets == new.sets:
        return ""
    return "".join(f"destroy {ip_set.name}\n" for ip_set in old.sets) + print_sets(new.sets)


def table_changes(old: Netns, new: Netns) -> str:
    """Return `iptables-restore` text that replaces all tables, if any differ."""
    return print_tables(new.ip4.tables) if (old.ip4.tables, old.sets) != (new.ip4.tables, new.sets) else ""


def native_changes(old: Netns, new: Netns) -> str:
    """Return `nft -f` text that makes the native tables, after the others, so that they are registered last."""
    return print_ruleset(new.ip4.nft) if _are_made_anew(old, new) else ""


def _are_made_anew(old: Netns, new: Netns) -> bool:
    """Tell whether the native tables are made again: also where those of iptables are, which would come later."""
    parts = [(netns.ip4.nft, netns.ip4.tables, netns.ip4.legacy, netns.sets) for netns in (old, new)]
    return parts[0] != parts[1]


def virtual_server_changes(old: Netns, new: Netns) -> str:
    """Return `ipvsadm -R` text that replaces all virtual servers, and with them the connections IPVS remembers."""
    return "-C\n" + print_services(new.ip4.ipvs) if old.ip4.ipvs != new.ip4.ipvs else ""


def legacy_changes(old: Netns, new: Netns) -> str:
    """Return `iptables-legacy-restore` text; after the other backend, so its tables are registered last and come first.

    A table that goes is emptied: only the end of the namespace takes it away.
    """
    gone = {table.name for table in old.ip4.legacy} - {table.name for table in new.ip4.legacy}
    emptied = tuple(empty_table(name) for name in sorted(gone))
    return print_tables((*new.ip4.legacy, *emptied)) if old.ip4.legacy != new.ip4.legacy else ""


def accounting_objects(netns: Netns) -> tuple[str, ...]:
    """Name the accounting objects the rules count with; they must exist before the rules do."""
    rules = (rule for table in netns.ip4.tables for chain in table.chains for rule in chain.rules)
    return tuple(dict.fromkeys(m.name for rule in rules for m in rule.matches if isinstance(m, NfAcct)))


def base_chains(netns: Netns) -> dict[tuple[str, str], tuple[str, NftChain]]:
    """Return the native base chains by the names with which the kernel tells of them, with their tables' titles."""
    return {
        (table.title.removeprefix("ip "), chain.name): (table.title, chain)
        for table in netns.ip4.nft
        for chain in table.chains
        if chain.hook
    }


def rules_by_handle(netns: Netns) -> dict[tuple[str, str, int], Matched]:
    """Return the World's rules, and the states the probes show, by (table, chain, handle) of the current namespace.

    Raises: McniError when a chain has another number of rules than the World says.
    """
    handles = rule_handles()
    rules: dict[tuple[str, str, int], Matched] = {}
    for name in ("probe_ctpre", "probe_ctout"):
        rules |= {
            ("mcni", name, n): state for n, state in zip(handles.get(("mcni", name), ()), ConnState, strict=False)
        }
    named: list[tuple[str, Chain | NftChain]] = [
        (table.name, chain) for table in netns.ip4.tables for chain in table.chains
    ]
    named += [(table.title.removeprefix("ip "), chain) for table in netns.ip4.nft for chain in table.chains]
    for name, chain in named:
        numbers = handles.get((name, chain.name), [])
        if len(numbers) != len(chain.rules):
            raise McniError(f"{netns.name} {name} {chain.name}: {len(numbers)} rules, not {len(chain.rules)}")
        lines: tuple[Matched, ...] = tuple(chain.rules)
        rules |= {(name, chain.name, n): rule for n, rule in zip(numbers, lines, strict=True)}
    return rules
