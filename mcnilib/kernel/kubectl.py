"""The state of a whole cluster, gathered through kubectl: a pod on each node runs the script that also runs by hand.

The pods are privileged, in the node's network and process namespaces: only so can the script enter the namespaces of
other pods. It reads and changes nothing. Its text comes back by `kubectl exec`, not as a log, which the node cuts at
10 MiB by default. The pods are deleted whatever happens, and end by themselves when nobody is left to delete them.
Source: `kubectl debug node` and kubectl-node-shell make such pods; https://kubernetes.io/docs/reference/kubectl/,
containerLogMaxSize in the kubelet's configuration, activeDeadlineSeconds in the API of Pods.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from mcnilib.errors import McniError, printable
from mcnilib.language import clauses, listed, mark, tr
from mcnilib.snapshots.folder import read_stream
from mcnilib.snapshots.targets.names import PODS_FILE, SERVICES_FILE

TOOLS_IMAGE, SHELL_IMAGE = "docker.io/nicolaka/netshoot", "docker.io/library/alpine"
"""An image with iproute2, iptables, nftables, ipset, conntrack-tools and util-linux (its Dockerfile), and one with a
shell and `nsenter`, for nodes that have these tools themselves."""

PODS_NAMESPACE = "kube-system"
"""Where the pods are made: kube-proxy and the CNI plugin run privileged there, so Pod Security lets these run too."""

APP_LABEL, RUN_LABEL = "app.kubernetes.io/name", "mcni-run"
"""Labels of the pods: what they are, and of which collection."""

POLL = 1.0
"""Seconds between two looks at the pods."""

NODES_AT_ONCE = 8
"""Nodes that are read at the same time."""

NODE_WITHIN, ANSWER_WITHIN = 300.0, 60.0
"""Seconds the script may take on a node, and kubectl for everything else."""

HOPELESS = {
    "ImagePullBackOff": mark("its image cannot be pulled"),
    "InvalidImageName": mark("its image has no valid name"),
    "ErrImageNeverPull": mark("its image is not on the node"),
    "CreateContainerConfigError": mark("its container cannot be made"),
    "CreateContainerError": mark("its container cannot be made"),
    "RunContainerError": mark("its container cannot be started"),
}
"""Reasons of a waiting container that do not go away by waiting. Source: pkg/kubelet/images/types.go,
pkg/kubelet/container/sync_result.go, pkg/kubelet/kuberuntime/kuberuntime_container.go."""

_RIGHTS = {"create": mark("create pods"), "delete": mark("delete pods")}
NAME_COMMANDS = {PODS_FILE: ("get", "pods", "-A", "-o", "wide"), SERVICES_FILE: ("get", "services", "-A")}


class KubectlError(McniError, OSError):
    """The cluster cannot be collected; the message says what kubectl said."""


@dataclass(frozen=True)
class ClusterRequest:
    """What is collected of a cluster, and how: `within` is the seconds in which a pod must run."""

    nodes: Sequence[str] = ()  # all
    namespace: str = PODS_NAMESPACE
    image: str = ""
    host_tools: bool = False
    connections: bool = False
    within: float = 120.0


@dataclass
class ClusterParts:
    """What each node's script printed, why a node is missing, and the files of names, or why one is missing."""

    texts: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unnamed: dict[str, str] = field(default_factory=dict)


class Kubectl:
    """The program `kubectl`, for one cluster; what it runs can be ended."""

    def __init__(self, context: str = "") -> None:
        """Choose the cluster by a context of the kubeconfig file; the current one if empty."""
        self._argv = ["kubectl", *(["--context", context] if context else [])]
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, *words: str, given: str = "", within: float = ANSWER_WITHIN, shielded: bool = False) -> bytes:
        """Return what it prints. Raises: KubectlError. `shielded` keeps Ctrl-C from it."""
        pipe = subprocess.PIPE
        called = f"`kubectl {' '.join(takewhile(lambda word: not word.startswith('-'), words))}`"
        try:
            process = subprocess.Popen(
                [*self._argv, *words], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=shielded
            )
        except FileNotFoundError:
            raise KubectlError(tr("kubectl is not installed, or not in a folder of PATH")) from None
        except OSError as problem:
            raise KubectlError(tr("kubectl does not run: {problem}", problem=problem)) from None
        self._running.add(process)
        try:
            printed, said = process.communicate(given.encode(), timeout=within)
        except subprocess.TimeoutExpired:
            raise KubectlError(
                tr("{called} did not answer within {within:.0f} s", called=called, within=within)
            ) from None
        finally:
            self._end(process)
        if process.returncode:
            raise KubectlError(tr("{called} failed: {last_line}", called=called, last_line=_last_line(said)))
        return printed

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.kill()
            process.wait()
        self._running.discard(process)

    def end_all(self) -> None:
        """End what is still running."""
        for process in tuple(self._running):
            process.kill()

    def nodes(self, wanted: Sequence[str]) -> dict[str, str]:
        """Return the nodes, each with the reason why no pod can run there, or nothing. Raises: KubectlError."""
        items = json.loads(self.run("get", "nodes", "-o", "json"))["items"]
        found = {item["metadata"]["name"]: _unusable(item) for item in items}
        if missing := [name for name in wanted if name not in found]:
            raise KubectlError(
                tr(
                    "no node is called {missing}; there are {names}",
                    missing=listed(missing),
                    names=listed(found) or tr("none"),
                )
            )
        return {name: why for name, why in found.items() if not wanted or name in wanted}

    def check_rights(self, namespace: str) -> None:
        """Insist on the rights that are needed, before anything is made. Raises: KubectlError."""
        for verb, more in (("create", ()), ("delete", ()), ("create", ("--subresource=exec",))):
            try:
                answer = self.run("auth", "can-i", verb, "pods", *more, "-n", namespace).decode().strip()
            except KubectlError as problem:
                answer = str(problem)
            if answer != "yes":
                right = tr("run commands in pods (create pods/exec)") if more else tr(_RIGHTS[verb])
                raise KubectlError(
                    tr(
                        "you may not {right} in the namespace {namespace}: kubectl auth can-i says no",
                        right=right,
                        namespace=namespace,
                    )
                )


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return printable(lines[-1].strip()[:300]) if lines else tr("it said nothing")


def _unusable(node: Mapping[str, Any]) -> str:
    """Say why no pod can run on a node, or nothing."""
    system = node["metadata"].get("labels", {}).get("kubernetes.io/os", "linux")
    if system != "linux":
        return tr("it runs {system}", system=system)
    conditions = node.get("status", {}).get("conditions", [])
    ready: Mapping[str, str] = next((one for one in conditions if one["type"] == "Ready"), {})
    if ready.get("status") == "True":
        return ""
    reason = ready.get("message") or ready.get("reason") or tr("it says nothing")
    return tr("the node is not ready: {reason}", reason=reason)


def manifest(request: ClusterRequest, nodes: Sequence[str], run: str) -> dict[str, Any]:
    """Return the pods of a collection, one for each node, as a list for `kubectl create`."""
    lifetime = round(request.within + NODE_WITHIN * (1 + len(nodes) // NODES_AT_ONCE))
    pods = [_pod(request, node, f"mcni-collect-{run}-{number}", run, lifetime) for number, node in enumerate(nodes)]
    return {"apiVersion": "v1", "kind": "List", "items": pods}


def _pod(request: ClusterRequest, node: str, name: str, run: str, lifetime: int) -> dict[str, Any]:
    variables = {"MCNI_NODE": node, **({"MCNI_CONNECTIONS": "1"} if request.connections else {})}
    container = {
        "name": "collect",
        "image": request.image or (SHELL_IMAGE if request.host_tools else TOOLS_IMAGE),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", str(lifetime)],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    spec = {
        "nodeName": node,
        "hostNetwork": True,
        "hostPID": True,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": lifetime,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    metadata = {"name": name, "namespace": request.namespace, "labels": {APP_LABEL: "mcni-collect", RUN_LABEL: run}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def collect_cluster(
    kubectl: Kubectl, request: ClusterRequest, script: str, run: str, tell: Callable[[int, int], None]
) -> ClusterParts:
    """Have a pod on each node run the script; a node where that fails is a gap, and the others go on.

    `run` makes the names of the pods unlike others; `tell` hears how many of how many nodes are done.
    Raises: KubectlError when no node can be asked, or the pods cannot be deleted.
    """
    nodes = kubectl.nodes(request.nodes)
    parts = ClusterParts(gaps={name: why for name, why in nodes.items() if why})
    usable = [name for name, why in nodes.items() if not why]
    if usable:
        kubectl.check_rights(request.namespace)
        try:
            _Round(kubectl, request, script, run, parts, tell).go(usable)
        finally:
            kubectl.end_all()
            _delete(kubectl, request.namespace, run)
    if not parts.texts:
        raise KubectlError(
            tr("no node was collected: {gaps}", gaps=clauses(f"{name}: {why}" for name, why in parts.gaps.items()))
        )
    for file, words in NAME_COMMANDS.items():
        try:
            parts.names[file] = kubectl.run(*words).decode(errors="surrogateescape")
        except KubectlError as problem:
            parts.unnamed[file] = str(problem)
    return parts


def _delete(kubectl: Kubectl, namespace: str, run: str) -> None:
    words = ("delete", "pods", "-n", namespace, "-l", f"{RUN_LABEL}={run}", "--ignore-not-found", "--wait=false")
    try:
        kubectl.run(*words, shielded=True)
    except KubectlError as problem:
        raise KubectlError(
            tr(
                "the pods could not be deleted: {problem}; run `kubectl {words}`",
                problem=problem,
                words=" ".join(words[:6]),
            )
        ) from None


class _Round:
    """One collection: pods that are awaited, and those that are being read."""

    def __init__(
        self,
        kubectl: Kubectl,
        request: ClusterRequest,
        script: str,
        run: str,
        parts: ClusterParts,
        tell: Callable[[int, int], None],
    ) -> None:
        self.kubectl, self.request, self.script, self.run = kubectl, request, script, run
        self.parts, self.tell = parts, tell
        self.last = ""  # what was last seen of the pods, for whoever waited in vain

    def go(self, nodes: Sequence[str]) -> None:
        """Make the pods, read each as soon as it runs, and note why one does not."""
        pods = manifest(self.request, nodes, self.run)
        try:
            self.kubectl.run("create", "-f", "-", given=json.dumps(pods))
        except KubectlError as problem:  # of a list, the others are made
            self.last = str(problem)
            if not self._states():
                self.parts.gaps |= dict.fromkeys(nodes, str(problem))
                return
        waiting = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods["items"]}
        pool = ThreadPoolExecutor(NODES_AT_ONCE)
        try:
            reading = {node: pool.submit(self._read, pod, node) for pod, node in self._running(waiting, len(nodes))}
            self._gather(reading, len(nodes))
        except BaseException:
            self.kubectl.end_all()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _running(self, waiting: dict[str, str], total: int) -> Iterator[tuple[str, str]]:
        """Yield each pod with its node once it runs; note the others as gaps."""
        until = time.monotonic() + self.request.within
        while waiting and time.monotonic() < until:
            self.tell(total - len(waiting), total)
            states = self._states()
            for pod in [pod for pod in waiting if pod in states]:
                runs, why, final = states[pod]
                if runs:
                    yield pod, waiting.pop(pod)
                elif final:
                    self.parts.gaps[waiting.pop(pod)] = tr("its pod does not run: {why}", why=why)
                else:
                    self.last = why or self.last
            if waiting:
                time.sleep(POLL)
        for node in waiting.values():
            within = tr("its pod did not run within {within:.0f} s", within=self.request.within)
            self.parts.gaps[node] = f"{within}: {self.last}" if self.last else within

    def _states(self) -> dict[str, tuple[bool, str, bool]]:
        """Return of each pod whether it runs, what keeps it, and whether that is final."""
        words = ("get", "pods", "-n", self.request.namespace, "-l", f"{RUN_LABEL}={self.run}", "-o", "json")
        try:
            items = json.loads(self.kubectl.run(*words))["items"]
        except KubectlError as problem:  # the next look may be luckier
            self.last = str(problem)
            return {}
        return {item["metadata"]["name"]: _pod_state(item.get("status", {})) for item in items}

    def _read(self, pod: str, node: str) -> str:
        """Run the script in a pod, and return what it printed, to its end."""
        enter = ("nsenter", "-t", "1", "-m", "-n") if self.request.host_tools else ()
        words = ("exec", "-i", "-n", self.request.namespace, pod, "--", *enter, "sh", "-s")
        printed = self.kubectl.run(*words, given=self.script, within=NODE_WITHIN)
        text = printed.decode(errors="surrogateescape")
        read_stream(text, node)
        return text

    def _gather(self, reading: Mapping[str, Future[str]], total: int) -> None:
        for node, future in reading.items():
            try:
                self.parts.texts[node] = future.result()
            except McniError as problem:
                self.parts.gaps[node] = str(problem)
            self.tell(len(self.parts.texts) + len(self.parts.gaps), total)


def _pod_state(status: Mapping[str, Any]) -> tuple[bool, str, bool]:
    """Return whether a pod runs, what keeps it, and whether that is final."""
    if status.get("phase") in ("Failed", "Succeeded"):
        return False, status.get("message") or status.get("reason") or tr("it has ended"), True
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        if "running" in state:
            return True, "", False
        waiting = state.get("waiting", {})
        reason, message = waiting.get("reason", ""), printable(str(waiting.get("message", ""))[:300])
        if reason in HOPELESS:
            return False, f"{tr(HOPELESS[reason])} ({message or reason})", True
        return False, message or reason, False
    return False, "", False
