"""Completion scripts for shells, made from the parser so that they cannot differ from it."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def words(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Verb -> its options."""
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {
        name: sorted(o for action in verb._actions for o in action.option_strings)
        for name, verb in verbs.choices.items()
    }


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script for one shell: verbs first, then options, else files."""
    verbs = words(parser)
    if shell == "fish":
        lines = [f"complete -c flexir -n __fish_use_subcommand -a {name}" for name in verbs]
        for name, options in verbs.items():
            for option in options:
                flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                lines.append(f"complete -c flexir -n '__fish_seen_subcommand_from {name}' {flag}")
        return "\n".join(lines)
    cases = "\n".join(f'      {name}) words="{" ".join(o)}" ;;' for name, o in verbs.items())
    head = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return f"""{head}_flexir() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{" ".join(verbs)}"
  else
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
  fi
  COMPREPLY=( $(compgen -W "$words" -- "$word") $(compgen -f -- "$word") )
}}
complete -o filenames -F _flexir flexir"""
