#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the model: the right one must have no errors, each with a mistake must have one.
# Exit status 77: spin is not installed.
set -u
source=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || {
    echo "skipped: spin is not installed (Debian package spin)"
    exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
cd "$scratch" || exit 1
failed=0

# explore EXPECTED DEFINES: is there an error?
explore() {
    expected=$1
    shift
    spin -a "$@" "$source/slot.pml" >log 2>&1 &&
        ${CC:-cc} -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c >>log 2>&1 ||
        { cat log; failed=1; return; }
    ./pan -m100000 -w24 -E >log 2>&1
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' log)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
    if grep -q 'max search depth too small\|out of memory' log || [ -z "$errors" ]; then
        found="not explored"
        failed=1
        tail -n 20 log
    elif [ "$errors" = 0 ]; then
        found=right
    else
        found=wrong
    fi
    [ "$found" = "$expected" ] || failed=1
    printf '%-44s %10s states  %-6s (should be %s)\n' "${*:-as it is}" "$states" "$found" "$expected"
}

# One life and one take each reach every pair of operations; two lives: records are used again.
explore right -DREAPER_DEATHS=1
explore right -DLIVES=2
explore right -DDEATHS=2
explore right -DLOWER -DDEATHS=0
explore right -DLOWER -DONE_DIES
explore wrong -DNO_ACK
explore wrong -DLOST_PROOF -DLOWER -DONE_DIES
explore wrong -DACK_FIRST
explore wrong -DPROOFS_LAST -DLOWER -DONE_DIES
explore wrong -DLATE_ANNOUNCE
explore wrong -DRECORD_FIRST
explore wrong -DSEQ_RESET -DLIVES=2 -DDEATHS=2
explore wrong -DNO_TOUCH -DLOWER -DDEATHS=0
exit $failed
