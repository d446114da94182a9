"""The verbs that ask the real kernel: `mcni verify`, `mcni fuzz`, `mcni clean`, and `mcni kernel` for a second one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from mcnilib.cli.common import add_verb, count, files_in, new_file
from mcnilib.language import mark, tr

SAMPLE = 12
"""Combinations of a scenario that are verified where nothing is said."""

EXAMPLES = mark("""examples:
  mcni verify 7 --sample 20                       # 20 combinations of settings, drawn by chance
  mcni verify 7 --all                             # each of them
  mcni verify --seed 5 --json                     # a sample of every scenario
  mcni fuzz --worlds 500 --seed 7
  mcni fuzz --seed 7 --first 42 --worlds 1        # one world again
  mcni fuzz --worlds 500 --seed 8 --keep cases    # write the smallest case of each disagreement
  mcni clean                                      # what a run that was killed may have left

  mcni kernel                                     # which kernels are there
  mcni kernel build                               # build user-mode Linux 6.1, once
  mcni verify 7 --kernel uml                      # the same on Linux 6.1, whatever this machine runs

They make network namespaces of their own and touch nothing in the machine's.
exit status: 0 everything agrees, 1 something differs, 2 wrong input, or this machine cannot make such namespaces
""")


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the command line."""
    _add_verify(verbs)
    _add_fuzz(verbs)
    _add_kernel(verbs)
    add_verb(verbs, "clean", tr("remove what an aborted kernel run left"), clean_up, EXAMPLES)


def _add_verify(verbs: Any) -> None:
    said = tr("run the same conversations on the real kernel and compare hop by hop")
    verify = add_verb(verbs, "verify", said, verify_scenarios, EXAMPLES)
    verify.add_argument("scenario", nargs="*", help=tr("name or number; all of them when left out"))
    verify.add_argument("--all", action="store_true", help=tr("every combination of settings, not a sample"))
    verify.add_argument(
        "--sample", type=count, metavar="N", help=tr("combinations per scenario (default: {sample})", sample=SAMPLE)
    )
    verify.add_argument("--seed", type=int, help=tr("which sample (default: 0)"))
    for option in ("--sample", "--seed"):
        verify.refuse(option, tr("beside --all, which takes every combination"), lambda parsed: parsed.all)
    verify.add_argument(
        "--jobs", type=count, default=0, metavar="N", help=tr("worlds at once (default: chosen by the number of cores)")
    )
    _add_choice(verify)
    verify.add_argument("--record", metavar="FILE", type=new_file, help=tr("write the results as the recorded run"))


def _add_fuzz(verbs: Any) -> None:
    said = tr("run random worlds and exchanges in the simulator and on the real kernel, and compare")
    fuzz = add_verb(verbs, "fuzz", said, fuzz_worlds, EXAMPLES)
    fuzz.add_argument("--worlds", type=count, default=200, metavar="N", help=tr("how many (default: 200)"))
    fuzz.add_argument("--seed", type=int, default=0, help=tr("the same seed gives the same worlds (default: 0)"))
    fuzz.add_argument("--first", type=int, default=0, metavar="NUMBER", help=tr("the first one's number (default: 0)"))
    fuzz.add_argument(
        "--keep", type=files_in, metavar="FOLDER", help=tr("write the smallest case of each disagreement there")
    )
    _add_choice(fuzz)
    fuzz.add_argument("--record", type=new_file, metavar="FILE", help=tr("write down what the run came to, as JSON"))


def _add_choice(parser: argparse.ArgumentParser) -> None:
    said = tr("run in user-mode Linux, which `mcni kernel build` builds (default: on this machine's kernel)")
    parser.add_argument("--kernel", choices=("uml",), help=said)


def _add_kernel(verbs: Any) -> None:
    kernel = add_verb(verbs, "kernel", tr("show the kernels that labs run on, or build the second"), kernels, EXAMPLES)
    kernel.add_argument(
        "action", nargs="?", choices=("build",), help=tr("build user-mode Linux; show what is there when left out")
    )
    kernel.add_argument("--force", action="store_true", help=tr("build what was built before, too"))
    kernel.refuse("--force", tr("without build"), lambda parsed: not parsed.action)


def kernels(arguments: argparse.Namespace) -> int:
    """Build the second kernel, or say which are there; the status is 3 where the second is not."""
    from mcnilib.kernel.lab.capabilities import release
    from mcnilib.kernel.uml.build import build_kernel, cached

    program = build_kernel(force=arguments.force) if arguments.action else cached()
    if arguments.json:
        print(json.dumps({"linux": release(), "uml": str(program) if program else None}, indent=1))
    else:
        print(tr("this machine runs Linux {release}", release=release()))
        print(
            tr("user-mode Linux: {program}", program=program)
            if program
            else tr("user-mode Linux is not built: `mcni kernel build` builds it")
        )
    return 0 if program else 3


def verify_scenarios(arguments: argparse.Namespace) -> int:
    """Compare the model with the real kernel."""
    from mcnilib.kernel.compare.report import main

    arguments.sample, arguments.seed = arguments.sample or SAMPLE, arguments.seed or 0
    return int(main(arguments))


def fuzz_worlds(arguments: argparse.Namespace) -> int:
    """Compare the model with the real kernel by chance."""
    from mcnilib.kernel.fuzz.report import main

    return int(main(arguments))


def clean_up(arguments: argparse.Namespace) -> int:
    """Remove leftovers of kernel runs."""
    from mcnilib.kernel.lab.clean import main

    return int(main(as_json=arguments.json))
