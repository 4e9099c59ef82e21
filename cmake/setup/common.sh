# What the launcher's scripts share. Messages go to standard error: standard output belongs to the command.
# shellcheck shell=bash disable=SC2034 # variables are used by the files that source this one
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
machine=$(uname -m)
assume_yes=0

say() {
  printf 'plx: %s\n' "$*" >&2
}

# The exit status of bad input and of a machine that lacks something, as in the command itself.
die() {
  say "$@"
  exit 2
}

# How many compilers at once: one per core, and no more than one per GiB of free memory.
jobs_that_fit() {
  local cores free_gib
  cores=$(nproc)
  free_gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
  ((free_gib < 1)) && free_gib=1
  echo $((cores < free_gib ? cores : free_gib))
}

# quietly LOG COMMAND...: keeps what the command prints in a file, and shows the end of it only if it failed.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || {
    local status=$?
    tail -n 40 "$log" >&2
    say "failed ($status): $*"
    say "the whole output is in $log"
    return "$status"
  }
}
