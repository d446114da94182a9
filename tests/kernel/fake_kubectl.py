"""A kubectl that plays a cluster: it answers as `play.json` beside it says, and writes down what it was asked.

`nodes`: name -> "ready", "not ready" or "windows"; `pods`: node -> the state of its pod; `reads`: node -> what `exec`
does there; `denied`: rights one has not; `broken`: the first words of commands that fail, each with what is said.
"""

import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
STATES = {
    "running": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
    "no image": {
        "phase": "Pending",
        "containerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}}
        ],
    },
    "starting": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]},
    "evicted": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
    "unseen": {"phase": "Pending"},
}
STREAM = """\
mcni-snapshot 1 {node}
@ {node}\t{node}
> ip-rule.txt
 0:	from all lookup local
 =0
end
"""


def node_of(play: dict, name: str) -> dict:
    kind = play["nodes"][name]
    ready = {"type": "Ready", "status": "True" if kind != "not ready" else "False", "message": "kubelet is stopped"}
    labels = {"kubernetes.io/os": "windows" if kind == "windows" else "linux"}
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [ready]}}


def run_script(play: dict, node: str) -> int:
    script = sys.stdin.read()
    assert "mcni-snapshot 1" in script, "the script comes by standard input"
    text = STREAM.format(node=node)
    match play.get("reads", {}).get(node, "whole"):
        case "whole":
            sys.stdout.write(text)
        case "cut":
            sys.stdout.write(text.removesuffix("end\n"))
        case "hang":
            (HERE / "hanging").touch()
            time.sleep(60)
        case said:
            sys.stderr.write(f"{said}\n")
            return 1
    return 0


def answer(words: list[str], play: dict) -> int:
    made = HERE / "made.json"
    pods = json.loads(made.read_text())["items"] if made.exists() else []
    match words:
        case ["get", "nodes", *_]:
            print(json.dumps({"items": [node_of(play, name) for name in play["nodes"]]}))
        case ["auth", "can-i", verb, what, *more]:
            right = f"{verb} {what}/exec" if "--subresource=exec" in more else f"{verb} {what}"
            print("no" if right in play.get("denied", ()) else "yes")
            return int(right in play.get("denied", ()))
        case ["create", *_]:
            made.write_text(sys.stdin.read())
        case ["get", "pods", "-A", *_]:
            print("NAMESPACE   NAME    READY   STATUS    RESTARTS   AGE   IP           NODE\n"
                  "default     web-0   1/1     Running   0          9d    10.244.1.5   node1")  # fmt: skip
        case ["get", "services", *_]:
            print("NAMESPACE   NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\n"
                  "default     web    ClusterIP   10.96.0.5    <none>        80/TCP    9d")  # fmt: skip
        case ["get", "pods", *_]:
            states = play.get("pods", {})
            print(json.dumps({"items": [
                {"metadata": pod["metadata"], "status": STATES[states.get(pod["spec"]["nodeName"], "running")]}
                for pod in pods
            ]}))  # fmt: skip
        case ["exec", *_]:
            pod = next(pod for pod in pods if pod["metadata"]["name"] in words)
            return run_script(play, pod["spec"]["nodeName"])
        case ["delete", *_]:
            made.unlink(missing_ok=True)
    return 0


def main() -> int:
    words, play = sys.argv[1:], json.loads((HERE / "play.json").read_text())
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    if words[:1] == ["--context"]:
        words = words[2:]
    for begin, said in play.get("broken", {}).items():
        if " ".join(words).startswith(begin):
            sys.stderr.write(f"{said}\n")
            return 1
    return answer(words, play)


if __name__ == "__main__":
    sys.exit(main())
