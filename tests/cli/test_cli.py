"""The command line: what it prints, how it ends, what it says to mistakes."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from mcnilib import __version__
from mcnilib.cli import command_line, main
from mcnilib.cli.common import PICTURES, chosen_settings
from mcnilib.cluster.settings import SettingError
from mcnilib.scenarios import all_scenarios
from mcnilib.show.picture.files import ENDINGS

FLAGSHIP = "macvlan-to-calico-across-nodes"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--kube-proxy", "1.28"], 1, "connect succeeds, then hangs"),
        (["--kube-proxy", "1.28"], 1, "on node1 in filter KUBE-FORWARD"),
        (["--kube-proxy", "1.28"], 1, "written by kube-proxy 1.28"),
        (["--kube-proxy", "1.30", "--be-liberal", "1", "--restarted", "yes"], 0, "connected"),
        (["--kube-proxy", "1.30", "--be-liberal", "1"], 1, "connect succeeds, then hangs"),
        (["--kube-proxy", "1.28", "--be-liberal", "1", "--restarted", "yes"], 1, "connect succeeds, then hangs"),
        (["--protocol", "udp"], 0, "connected"),
        (["--protocol", "ICMP"], 0, "connected"),
        (["--workaround", "host route back"], 0, "connected"),
    ],
)
def test_run_says_what_becomes_of_the_conversation(capsys, words: list[str], status: int, says: str) -> None:
    assert main(["run", FLAGSHIP, *words]) == status
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "macvlan-to-calico-acros-nodes"], f"did you mean {FLAGSHIP!r}?"),
        (["run", FLAGSHIP, "--kube-proxy", "1.21"], "kube-proxy cannot be '1.21'"),
        (["run", FLAGSHIP, "--encapsulation", "vxlna"], "did you mean 'VXLAN'?"),
        (["state", "7", "node9", "ip rule"], "no network namespace 'node9'; there are node1"),
        (["state", "7", "node1", "ip frob"], "ip frob"),
        (["run", "4", "--endpoint", "cal2"], "endpoint cannot be 'cal2' in macvlan-to-clusterip-macvlan; it is one of"),
        (["run", "4", "--endpoint", "none"], "it is one of mac4, mac1b, mac3"),
        (["run", "5", "--endpoint", "none"], "it is one of mac3, mac4"),
        (["save", "9", "nowhere", "--endpoint", "none"], "it is one of cal1, cal2"),
        (["handout", "99", "x.pdf"], "there is no scenario '99'"),
    ],
)
def test_a_mistake_is_named_and_ends_with_2(capsys, words: list[str], says: str) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("words", [["--lang", "en-XA"], ["--lang=en-XA"]])
def test_a_language_is_chosen_before_the_verb(capsys, words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert "[šáý évérýthíñg íñ thíš láñgúágé" in capsys.readouterr().out.replace("\n", " ")


def test_the_locale_chooses_the_language_and_an_option_another(capsys, monkeypatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en_XA")
    for words, found in ([], True), (["--lang", "en"], False):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert ("šáý évérýthíñg" in capsys.readouterr().out) is found


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("run", "the following arguments are required"),
        ("run 7 --size", "argument --size|expected one argument"),
        ("run 7 --depth every", "argument --depth|is none of"),
        ("run 7 --json=1", "ignored explicit argument"),
        ("run 7 --s 1", "ambiguous option|could match"),
        ("list --what", "unrecognized arguments"),
        ("run --help", "usage:|positional arguments|options:|show this help|settings:|with 1, conntrack accepts|else"),
        ("--help", "usage:|show program's version|examples:|exit status"),
    ],
)
def test_argparse_says_its_own_words_in_the_readers_language(capsys, words: str, plain: str) -> None:
    said = []
    for language in ("en", "en-XA"):
        with pytest.raises(SystemExit):
            main(["--lang", language, *words.split()])
        said.append("".join(capsys.readouterr()))
    assert {*re.findall(plain, said[0])} == {*plain.split("|")}
    assert re.findall(plain, said[1]) == []


def test_argparse_of_others_keeps_its_words(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--lang", "en-XA", "--help"])
    assert argparse.ArgumentParser(prog="x").format_help().startswith("usage: x")


def test_a_language_without_catalogue_ends_with_2(capsys) -> None:
    assert main(["--lang", "tlh", "list"]) == 2
    assert capsys.readouterr().err == "mcni: there is no catalogue for 'tlh'; there are en, en-XA\n"


def test_json_holds_the_whole_trace(capsys) -> None:
    main(["run", FLAGSHIP, "--json"])
    said = json.loads(capsys.readouterr().out)
    step = said["outcome"]["step"]
    assert said["outcome"]["verdict"] == "connect succeeds, then hangs"
    assert (step["netns"], step["table"], step["chain"], step["ctstate"]) == (
        "node1",
        "filter",
        "KUBE-FORWARD",
        "INVALID",
    )
    assert step["evidence"] == "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    assert [journey["packet"]["kind"] for journey in said["journeys"]][:3] == ["SYN", "SYN,ACK", "ACK"]
    assert said["connections"]["node1"][0]["state"] == "SYN_SENT"
    assert said["connections"]["node2"][0]["state"] == "SYN_RECV"


def test_a_table_of_steps_in_three_depths(capsys) -> None:
    lengths = []
    for depth in ("outcome", "hops", "decisions"):
        main(["run", FLAGSHIP, "--table", "--depth", depth])
        lengths.append(len(capsys.readouterr().out.splitlines()))
    assert lengths == sorted(lengths) and len(set(lengths)) == 3


def test_state_prints_what_the_real_tool_would(capsys) -> None:
    assert main(["state", "7", "mac1", "ip rule"]) == 0
    assert "from all fwmark 0x1 lookup 100" in capsys.readouterr().out
    main(
        [
            "state",
            "7",
            "node1",
            "iptables-save -t filter",
            "--be-liberal",
            "1",
            "--restarted",
            "yes",
            "--kube-proxy",
            "1.29",
        ]
    )
    assert "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP" not in capsys.readouterr().out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_list_names_every_scenario(capsys, form: list[str]) -> None:
    assert main(["list", *form]) == 0
    assert FLAGSHIP in capsys.readouterr().out


def test_a_scenario_s_settings_are_listed_as_the_command_line_takes_them(capsys) -> None:
    assert main(["list", "7"]) == 0
    shown = capsys.readouterr().out
    assert "--be-liberal         0 | 1  (starts with 0)" in shown
    assert main(["list", "7", "--json"]) == 0
    (story,) = json.loads(capsys.readouterr().out)
    for name, one in story["settings"].items():
        assert f"--{name} " in shown
        assert main(["run", "7", f"--{name}", one["start"]]) in (0, 1)
        assert one["start"] in one["values"]


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_pictures_are_written_by_their_ending(tmp_path, kind: str) -> None:
    target = tmp_path / f"path.{kind}"
    main(["run", FLAGSHIP, "--picture", str(target)])
    assert target.read_bytes()[:5] in (b"<?xml", b"<svg ", b"\x89PNG\r", b"%PDF-")


def test_help_has_examples(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "mcni run 7 --kube-proxy 1.30 --be-liberal 1 --restarted yes --table" in capsys.readouterr().out


def helps() -> dict[str, str]:
    """Return the help of the command and of each verb."""
    parser = command_line()
    verbs = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {"mcni": parser.format_help()} | {name: verb.format_help() for name, verb in verbs.items()}


@pytest.mark.parametrize(("verb", "text"), helps().items(), ids=lambda value: value.split()[0])
def test_every_example_of_every_help_is_accepted(verb: str, text: str) -> None:
    found = re.findall(r"mcni ((?!VERB)[a-z][^|>)#\n]*)", text.partition("examples:")[2])
    assert any(words.startswith(verb) or verb == "mcni" for words in found), f"{verb} --help has no example of {verb}"
    for words in found:
        command_line().read(shlex.split(words))


def test_the_examples_of_trace_run_on_a_saved_cluster(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["save", FLAGSHIP, "here"]) == 0
    examples = re.findall(r"mcni (trace here .*)", helps()["trace"])
    assert len(examples) == 8
    for words in examples:
        assert main(shlex.split(words)) in (0, 1), words
        assert capsys.readouterr().out


def test_what_save_says_can_be_typed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["save", FLAGSHIP, "my folder"]) == 0
    assert main(shlex.split(capsys.readouterr().out)[1:]) == 1


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_start_can_be_asked_for(story) -> None:
    texts = story.start().texts()
    words = [word for one in story.options() for word in (f"--{one.name}", texts[one.name])]
    assert chosen_settings(story, command_line().read(["run", story.name, *words])) == story.start()


@pytest.mark.parametrize(
    "words", [["--patience", "-1"], ["--patience", "soon"], ["--patience", "inf"], ["--patience", "nan"]]
)
def test_patience_is_a_number_of_seconds(capsys, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", FLAGSHIP, *words])
    assert ended.value.code == 2
    assert "is not a number of seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify", "7", "--sample", "-1"], "--sample: '-1' is not a whole number from 1 up"),
        (["verify", "7", "--jobs", "0"], "--jobs: '0' is not a whole number from 1 up"),
        (["fuzz", "--worlds", "many"], "--worlds: 'many' is not a whole number from 1 up"),
        (["fuzz", "--record", "nowhere/x.json"], "--record: there is no folder 'nowhere'"),
        (["verify", "--record", "nowhere/x.json"], "--record: there is no folder 'nowhere'"),
        (["run", "7", "--picture", "nowhere/x.svg"], "--picture: there is no folder 'nowhere'"),
        (["run", "7", "--picture", "x.gif"], "--picture: 'x.gif' must end in .svg, .png, .pdf"),
        (["trace", "here", "--picture", "x"], "--picture: 'x' must end in .svg, .png, .pdf"),
        (["handout", "7", "x.svg"], "file: 'x.svg' must end in .pdf"),
        (["handout", "7", "nowhere/x.pdf"], "file: there is no folder 'nowhere'"),
        (["state", "7", "node1", "ip", "rule"], 'put the command in quotes: "ip rule"'),
        (["state", "7", "node1", "ip", "-d", "address"], 'put the command in quotes: "ip -d address"'),
        (["state", "7", "node1", "ip rule", "--kubeproxy=1.28"], "did you mean '--kube-proxy'?"),
        (["run", "7", "\x1b[2J"], "unrecognized arguments: \\x1b[2J"),
    ],
)
def test_what_no_run_can_do_is_said_before_it(capsys, words: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.splitlines()[1:] == [f"`mcni {words[0]} --help` shows how"]


def test_the_endings_of_pictures_are_those_that_are_drawn() -> None:
    assert PICTURES == ENDINGS


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 130, "mcni: interrupted\n"),
        (KeyError("no device 'e9'; there are lo"), 2, "mcni: no device 'e9'; there are lo\n"),
        (SettingError("no such value"), 2, "mcni: no such value\n"),
    ],
)
def test_what_ends_a_verb_is_one_line(capsys, monkeypatch, error: BaseException, status: int, says: str) -> None:
    monkeypatch.setattr("mcnilib.cli.story_named", failing_with(error))
    assert main(["run", "7"]) == status
    assert capsys.readouterr().err == says


def test_a_missing_key_is_no_message(monkeypatch) -> None:
    monkeypatch.setattr("mcnilib.cli.story_named", failing_with(KeyError("node2")))
    with pytest.raises(KeyError):
        main(["run", "7"])


def failing_with(error: BaseException):
    def fails(*_):
        raise error

    return fails


@pytest.mark.parametrize("words", [["run", "7", "--json"], ["list"]], ids=["more than a pipe holds", "less"])
def test_a_reader_who_stops_ends_it_as_a_closed_pipe_does(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "import sys; from mcnilib.cli import main; sys.exit(main())", *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_what_needs_a_package_that_is_missing_says_how_to_install_it(tmp_path) -> None:
    without = "import sys; sys.modules['matplotlib'] = None; from mcnilib.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", without, "run", FLAGSHIP, "--picture", str(tmp_path / "x.png")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "pip install 'mcnilib[notebooks]'" in ended.stderr
    assert "uv run --extra notebooks mcni" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["lst"], "did you mean 'list'?", id="a verb"),
        pytest.param(["trase", "here"], "did you mean 'trace'?", id="another verb"),
        pytest.param(["7"], "did you mean `mcni run 7`?", id="a scenario without a verb"),
        pytest.param(["frobnicate"], "'frobnicate' is none of list, run, state,", id="nothing like a verb"),
        pytest.param([], "required: VERB", id="no verb"),
        pytest.param(["completion", "bsh"], "did you mean 'bash'?", id="a shell"),
        pytest.param(["run", "7", "--table", "--depth", "hop"], "did you mean 'hops'?", id="a depth"),
        pytest.param(["run", "7", "--kube-proxi", "1.28"], "did you mean '--kube-proxy'?", id="an option"),
        pytest.param(["run", "7", "--protocl=udp"], "did you mean '--protocol'?", id="an option with its value"),
        pytest.param(["help"], "did you mean `mcni --help`?", id="help as a verb"),
        pytest.param(["version"], "did you mean `mcni --version`?", id="version as a verb"),
        pytest.param(["run", "7", "--workaround", "host", "route", "back"], 'put the value in quotes: --workaround "host route back"', id="a value of several words"),
        pytest.param(["run", "10", "--placement", "same", "node"], 'put the value in quotes: --placement "same node"', id="a value of two words"),
        pytest.param(["run", "7", "--patience", "３"], "is not a number of seconds above 0, up to 86400", id="a digit of another alphabet"),
        pytest.param(["--json", "run", "7"], "--json belongs behind the verb: mcni run ... --json", id="an option before the verb"),
        pytest.param(["verify", "7", "--smple", "3"], "did you mean '--sample'?", id="an option of verify"),
        pytest.param(["run", "7", "--depth", "hops"], "--depth changes nothing without --table", id="depth without table"),
        pytest.param(["run", "7", "--table", "--json"], "--table changes nothing beside --json", id="table and JSON"),
        pytest.param(["run", "7", "--depth", "hops", "--json"], "--depth changes nothing without --table", id="depth and JSON"),
        pytest.param(["trace", "x", "--from", "a", "--to", "tcp:1.2.3.4:5", "--depth", "hops"], "--depth changes nothing", id="depth without table, trace"),
        pytest.param(["trace", "x", "--from", "a", "--to", "icmp:1.2.3.4", "--listen", "b:80"], "--listen changes nothing for ICMP", id="a server for a ping"),
        pytest.param(["state", "7", "node1", "ip rule", "--protocol", "udp"], "--protocol changes nothing in the state", id="a protocol of a state"),
        pytest.param(["state", "10", "node1", "ip rule", "--placement", "same node"], "--placement changes nothing in the state", id="a placement of a state"),
        pytest.param(["verify", "7", "--all", "--sample", "3"], "--sample changes nothing beside --all", id="a sample of all"),
        pytest.param(["verify", "7", "--all", "--seed", "3"], "--seed changes nothing beside --all", id="the seed of all"),
        pytest.param(["fuzz", "--seed", "9" * 5000], "... ", id="a number as long as a page"),
    ],
)  # fmt: skip
def test_a_command_line_nobody_meant_is_refused_with_what_was_meant(capsys, words: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said) < 500


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["run", "16", "--receiving-node", "node1"], "calico-to-calico has no setting --receiving-node; it has --encapsulation, --protocol", id="another scenario's setting"),
        pytest.param(["save", "7", "x", "--placement", "same node"], "has no setting --placement; it has --kube-proxy,", id="a placement where there is one"),
        pytest.param(["link", "7", "--external-policy", "Local"], "has no setting --external-policy", id="a policy without a NodePort"),
        pytest.param(["run", "7", "--workaround", "host rout back"], "did you mean 'host route back'?", id="a value"),
        pytest.param(["run", "7", "--be-liberal", "yes"], "it is one of 0, 1", id="another value"),
        pytest.param(["run", "nodeport"], "did you mean 'nodeport-to-", id="the beginning of a scenario"),
        pytest.param(["state", "node1", "7", "ip rule"], "7 is one, and stands first", id="a scenario in second place"),
        pytest.param(["save", "here", "7"], "7 is one, and stands first", id="a folder in first place"),
        pytest.param(["run", ""], "there is no scenario ''", id="no scenario"),
        pytest.param(["state", "7", "nod1", "ip rule"], "did you mean 'node1'?", id="a namespace"),
        pytest.param(["state", "7", "node1", "ip ruel"], "did you mean 'ip rule'?", id="a command"),
        pytest.param(["state", "7", "node1", ""], "command '' is not modelled; there are ip -d address,", id="no command"),
        pytest.param(["state", "7", "node1", "iptables-save -t filtr"], "did you mean 'filter'?", id="a table"),
        pytest.param(["state", "7", "node1", "ip route show table 99999999999999"], "node1 has no routing table '99999999999999'; it has main", id="a routing table"),
    ],
)  # fmt: skip
def test_a_name_nothing_has_is_refused_with_the_nearest(capsys, words: list[str], says: str) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_the_version(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mcni {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "3", "--json"], "mcni: 3 is node-to-own-macvlan here; 3 too, by name: macvlan-to-own-node, macvlan-to-other-node\n"),
        (["state", "5", "node1", "ip rule"], "mcni: 5 is nodeport-to-macvlan here; 5 too, by name: nodeport-to-macvlan-from-lan\n"),
        (["run", "7"], ""),
        (["run", "macvlan-to-own-node"], ""),
    ],
)  # fmt: skip
def test_which_of_several_with_one_number_it_is(capsys, words: list[str], said: str) -> None:
    main(words)
    assert capsys.readouterr().err == said


def test_all_of_a_number_are_listed(capsys) -> None:
    assert main(["list", "3"]) == 0
    shown = capsys.readouterr().out
    assert [name in shown for name in ("node-to-own-macvlan", "macvlan-to-own-node", "macvlan-to-other-node")] == [
        True
    ] * 3


def test_what_save_says_of_a_name_like_an_option_can_be_typed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["save", FLAGSHIP, "--", "-x"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mcni trace ./-x --from ")
    assert main(shlex.split(said)[1:]) == 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    """The flagship's cluster as a folder."""
    folder = tmp_path_factory.mktemp("saved") / "cluster"
    assert main(["save", FLAGSHIP, str(folder)]) == 0
    return str(folder)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "172.16.100.99", "--to", "tcp:10.233.101.2:80"], "no network namespace has the address 172.16.100.99"),
        (["--from", "127.0.0.1", "--to", "tcp:10.233.101.2:80"], "node1, node2, node3, node4, gateway, client, lan-client, mac1, mac1b, mac2, mac3, mac4, mac17, cal1, cal2, cal3, mul1, mul2 have the address 127.0.0.1: name one of them"),
        (["--from", "172.16.100.2/16", "--to", "tcp:10.233.101.2:80"], "did you mean '172.16.100.2'?"),
        (["--from", "172.16.100.2:4000", "--to", "tcp:10.233.101.2:80"], "did you mean '172.16.100.2'?"),
        (["--from", "mac11", "--to", "tcp:10.233.101.2:80"], "did you mean 'mac1'?"),
        (["--from", "MAC1", "--to", "tcp:10.233.101.2:80"], "did you mean 'mac1'?"),
        (["--from", "", "--to", "tcp:10.233.101.2:80"], "no network namespace ''; there are node1,"),
        (["--from", "mac1", "--to", "tpc:10.233.101.2:80"], "did you mean 'tcp:10.233.101.2:80'?"),
        (["--from", "mac1", "--to", "tcp:10.233.101.2"], "did you mean 'icmp:10.233.101.2'?"),
        (["--from", "mac1", "--to", "udp://10.233.101.2:80/"], "did you mean 'udp:10.233.101.2:80'?"),
        (["--from", "mac1", "--to", "icmp:10.233.101.2:80"], "did you mean 'tcp:10.233.101.2:80'?"),
        (["--from", "mac1", "--to", "http://10.233.101.2:0/"], "'0' is not a port"),
        (["--from", "mac1", "--to", "tcp:cal22:80"], "did you mean 'cal2'?"),
        (["--from", "mac1", "--to", "tcp:10.233.101.2:80", "--listen", "10.233.101.22:80"], "no network namespace has the address 10.233.101.22; did you mean '10.233.101.2'?"),
    ],
)  # fmt: skip
def test_a_question_nobody_can_answer_is_refused(capsys, saved: str, words: list[str], says: str) -> None:
    assert main(["trace", saved, *words]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_client_and_server_may_be_given_as_addresses(capsys, saved: str) -> None:
    words = ["--from", "172.16.100.2", "--to", "UDP:10.233.101.2:53", "--listen", "10.233.101.2:53"]
    assert main(["trace", saved, *words]) == 0
    assert "connected" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["0", "65508", "1,2,3", "x", "-5", "300,"])
def test_a_size_that_no_conversation_has_is_refused(size: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "9", f"--size={size}"])
    assert ended.value.code == 2
    assert "is not a number of bytes from 1 to 65507, or two with a comma: REQUEST,ANSWER" in capsys.readouterr().err


def test_a_scenario_may_be_asked_with_a_size(capsys) -> None:
    assert main(["run", "9", "--size", "300,20000"]) == 0
    assert "connected; the server sees the client as 172.16.1.2" in capsys.readouterr().out
