# SPDX-License-Identifier: MIT
# bash completion for slotshare, shmstat, slotshare-bridge and slotshare-socket. The programs' own --help says what
# there is, so this file knows no option.

_slotshare_commands() {
    slotshare --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'
}

_slotshare_options() {
    "$@" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u
}

_slotshare() {
    local cur=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]##*/} words
    COMPREPLY=()
    if [[ $program == slotshare && $COMP_CWORD == 1 ]] ||
        [[ $program == slotshare && $COMP_CWORD == 2 && ${COMP_WORDS[1]} == help ]]; then
        words=$(_slotshare_commands)
    elif [[ $cur == -* && $program == slotshare ]]; then
        words=$(_slotshare_options slotshare "${COMP_WORDS[1]}")
    elif [[ $cur == -* ]]; then
        words=$(_slotshare_options "$program")
    else
        return # file names, by -o default
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -o default -F _slotshare slotshare shmstat slotshare-bridge slotshare-socket
