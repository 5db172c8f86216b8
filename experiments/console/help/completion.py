"""Completion of `raise-planner` in a shell: what could stand where the cursor is.

Hydra's own completion parses the command line itself, and knows neither subcommands nor `python -m`; it also
imports Hydra at each press of TAB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from experiments.console.help.command_keys import CONF, CommandKeys, command_keys

BASH = """\
_raise_planner() {
    local word=${COMP_LINE:0:COMP_POINT} head
    mapfile -t COMPREPLY < <("${1:-raise-planner}" --complete "$word" 2>/dev/null)
    word=${word##*[[:space:]]}
    head=${word%"${word##*=}"}
    # To bash a word begins behind "=", and it replaces that word alone.
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"$head"}")
    (( ${#COMPREPLY[@]} )) || compopt +o nospace 2>/dev/null  # names of files follow
}
complete -o default -o nospace -F _raise_planner raise-planner
"""
ZSH = """\
#compdef raise-planner
_raise_planner() {
    local word
    local -a whole begun
    for word in "${(@f)$(${~words[1]} --complete "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}"; do
        if [[ $word == *' ' ]]; then whole+=("${word% }"); elif [[ -n $word ]]; then begun+=("$word"); fi
    done
    (( $#whole )) && compadd -Q -- "${whole[@]}"
    (( $#begun )) && compadd -Q -S '' -- "${begun[@]}"
    (( $#whole + $#begun )) || { compset -P '*='; _files }
}
compdef _raise_planner raise-planner
"""
SHELLS = {"bash": BASH, "zsh": ZSH}
_OPTIONS = ("--help", "-m", "--multirun", "--config-dir", "--cfg", "--resolve", "--hydra-help")
_SIGN = re.compile(r"[+~]*")


def candidates(line: str, commands: Mapping[str, str]) -> list[str]:
    """Return what the last word of `line` could become, sorted; a complete word ends with a space.

    Parameters
    ----------
    line : the command line up to the cursor, the program's name first
    commands : name -> module of each subcommand
    """
    words = line.split()
    current = "" if line[-1:].isspace() else words.pop()
    before = words[1:]
    if not before:
        found: Iterator[str] = (f"{name} " for name in (*commands, "--help"))
    elif (CONF / f"{commands.get(before[0])}.yaml").is_file():
        found = _of_command(commands[before[0]], before[1:], current)
    else:
        found = iter(())  # files, which the shell knows
    return sorted(word for word in found if word.startswith(current))


def _of_command(config: str, before: Sequence[str], current: str) -> Iterator[str]:
    if current.startswith("-"):
        yield from (f"{option} " for option in _OPTIONS)
        return
    sign = _SIGN.match(current)
    prefix = sign[0] if sign else ""
    body = current[len(prefix) :]
    name, equals, value = body.partition("=")
    found = command_keys(config, before)
    if not equals:
        groups = [f"{group.name}=" if len(group.members) > 1 else f"{group.name}." for group in found.groups]
        # Keys of members come once their group is written out: there are many.
        dotted = [f"{key.name}=" for group in found.groups for key in group.keys if "." in body]
        names = [f"{key.name}=" for key in found.keys]
        yield from (prefix + word for word in {*groups, *names, *dotted})
        return
    done = value[: value.rfind(",") + 1]
    yield from (f"{prefix}{name}={done}{option} " for option in _values(name, found))


def _values(name: str, found: CommandKeys) -> Iterator[str]:
    for group in found.groups:
        if group.name == name:
            yield from (member.name for member in group.members)
    for key in (*found.keys, *(key for group in found.groups for key in group.keys)):
        if key.name == name and isinstance(key.default, bool):
            yield from ("true", "false")
