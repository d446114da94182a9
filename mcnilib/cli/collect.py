"""The verb `mcni collect`: this machine, a whole cluster through kubectl, or the script for a node."""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import sys
from typing import Any

from mcnilib.cli.common import add_verb, new_folder, seconds
from mcnilib.cli.parser import Parser
from mcnilib.cli.snapshots import write_snapshot
from mcnilib.errors import printable
from mcnilib.language import mark, tr
from mcnilib.progress import Line, shown
from mcnilib.snapshots.folder import read_stream, script
from mcnilib.snapshots.merge import of_cluster

EXAMPLES = mark("""examples:
  mcni collect --kubectl cluster                  # all nodes, by a pod on each that reads and is deleted again
  mcni collect --kubectl cluster --context staging --node node1 --node node2
  mcni collect --kubectl --dry-run                # print the pods that would be made, and make none
  mcni collect --script > collect.sh              # for machines without kubectl: sh collect.sh > node1.txt, as root
  sudo mcni collect here                          # this machine

exit status: 0 collected, 2 nothing was collected, 3 some nodes were not: they are named, and unknown in the snapshot
""")
_CLUSTER = ("--context", "--namespace", "--node", "--image", "--host-tools", "--within", "--dry-run")


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = tr("gather a snapshot of this machine or of a cluster, or print the script that does")
    collect = add_verb(verbs, "collect", said, collect_state, EXAMPLES)
    folder = tr("a folder that is not there yet, or empty; this machine takes root")
    collect.add_argument("folder", nargs="?", type=new_folder, help=folder)
    collect.add_argument("--script", action="store_true", help=tr("print the shell script to run on a node"))
    collect.add_argument(
        "--only", action="append", default=[], metavar="NETNS", help=tr("take only this named namespace")
    )
    collect.add_argument("--connections", action="store_true", help=tr("take the connections too (conntrack -L)"))
    _add_kubectl(collect)


def _add_kubectl(collect: Parser) -> None:
    cluster = collect.add_argument_group(tr("a whole cluster"))
    said = tr("run the script on every node, in a privileged pod that is deleted afterwards")
    cluster.add_argument("--kubectl", action="store_true", help=said)
    cluster.add_argument(
        "--context", metavar="NAME", help=tr("a context of the kubeconfig file (default: the current one)")
    )
    cluster.add_argument("--namespace", metavar="NAME", help=tr("where the pods are made (default: kube-system)"))
    cluster.add_argument(
        "--node", action="append", default=[], metavar="NAME", help=tr("only this node; may be repeated")
    )
    said = tr("the image of the pods (default: nicolaka/netshoot; with --host-tools: alpine)")
    cluster.add_argument("--image", metavar="IMAGE", help=said)
    said = tr("use the tools of the nodes (ip, iptables-save, nft) and not those of the image")
    cluster.add_argument("--host-tools", action="store_true", help=said)
    said = tr("how long a pod may take until it runs (default: 120)")
    cluster.add_argument("--within", type=seconds, metavar="SECONDS", help=said)
    cluster.add_argument("--dry-run", action="store_true", help=tr("print the pods as JSON for kubectl, and make none"))
    for option in _CLUSTER:
        collect.refuse(option, tr("without --kubectl"), lambda parsed: not parsed.kubectl)
    collect.refuse("--script", tr("with --kubectl, which runs it"), lambda parsed: parsed.kubectl)
    collect.refuse("--only", tr("with --kubectl, which takes every namespace"), lambda parsed: parsed.kubectl)


def collect_state(arguments: argparse.Namespace) -> int:
    """Collect a cluster or this machine into a folder, or print the script."""
    if arguments.kubectl:
        return _collect_cluster(arguments)
    if arguments.script or arguments.folder is None:
        _check_script_alone(arguments)
        text = script()
        print(json.dumps({"script": text}) if arguments.json else text, end="")
        return 0
    from mcnilib.kernel.collect import collect

    with shown(tr("mcni: collecting")):
        printed = collect(script(), arguments.only, connections=arguments.connections)
    return write_snapshot(arguments, read_stream(printed.decode(errors="surrogateescape"), "collect.sh"))


def _check_script_alone(arguments: argparse.Namespace) -> None:
    """Refuse what changes nothing about the script, which is told in another way on a node."""
    if arguments.folder is not None:
        arguments.usage.error(tr("--script prints the script and writes no folder; leave one of them out"))
    variables = [f"MCNI_ONLY={shlex.quote(' '.join(arguments.only))}"] if arguments.only else []
    variables += ["MCNI_CONNECTIONS=1"] if arguments.connections else []
    if variables:
        arguments.usage.error(
            tr(
                "the script takes --only and --connections as variables: {variables} sh collect.sh; "
                "or name a FOLDER to collect this machine into",
                variables=" ".join(variables),
            )
        )


def _collect_cluster(arguments: argparse.Namespace) -> int:
    """Collect the nodes of a cluster, and name those that could not be."""
    from mcnilib.kernel.kubectl import PODS_NAMESPACE, ClusterRequest, Kubectl, collect_cluster, manifest

    kubectl, run = Kubectl(arguments.context or ""), secrets.token_hex(4)
    request = ClusterRequest(
        arguments.node, arguments.namespace or PODS_NAMESPACE, arguments.image or "", arguments.host_tools,
        arguments.connections, arguments.within or ClusterRequest.within,
    )  # fmt: skip
    if arguments.dry_run:
        ready = [name for name, why in kubectl.nodes(request.nodes).items() if not why]
        print(json.dumps(manifest(request, ready, run), indent=2))
        return 0
    if arguments.folder is None:
        arguments.usage.error(tr("name the FOLDER that the cluster is to be collected into"))
    line = Line(tr("mcni: collecting nodes"))
    try:
        parts = collect_cluster(kubectl, request, script(), run, line.show_of)
    finally:
        line.clear()
    for what, why in {**parts.gaps, **parts.unnamed}.items():
        print(printable(tr("mcni: not collected: {what}: {why}", what=what, why=why)), file=sys.stderr)
    streams = (read_stream(text, node) for node, text in parts.texts.items())
    write_snapshot(arguments, of_cluster(streams, parts.gaps, parts.names), gaps=parts.gaps)
    return 3 if parts.gaps else 0
