#!/usr/bin/env bash
# The shipped libraries export exactly the functions of plx.h, hold no path of the machine they were built on, and
# need no newer C and C++ runtime than Debian 12's, if they were built there (what they need is printed in any case).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../setup/common.sh"
shopt -s nullglob
status=0

complain() {
  echo "FAILED: $*"
  status=1
}

# newest PREFIX: the highest version among PREFIX_x.y on standard input
newest() {
  grep -oE "\b$1_[0-9.]+" | sort -uV | tail -n 1 || true
}

libraries=("$root"/native/target/classes/native/*/libparallax.so)
expected=1
[[ $machine != x86_64 ]] || expected=2 # with the cross build
((${#libraries[@]} == expected)) || complain "$expected libraries expected, found: ${libraries[*]:-none}"
declared=$(sed -nE 's/^PLX_API .*\b(plx_\w+)\(.*/\1/p' "$root/native/include/plx/plx.h" | sort)

for library in "${libraries[@]}"; do
  name=${library#"$root"/native/target/classes/}
  exported=$(readelf --dyn-syms --wide "$library" | awk '$7 ~ /^[0-9]+$/ && $5 != "LOCAL" { print $8 }' |
    sed 's/@.*//' | sort)
  difference=$(diff <(echo "$declared") <(echo "$exported")) ||
    complain "$name does not export what plx.h declares (<) but other things (>):"$'\n'"$difference"

  dynamic=$(readelf --dynamic --wide "$library")
  grep -qE '\(FLAGS\).*BIND_NOW' <<<"$dynamic" || complain "$name is not linked with -z now"
  ! grep -qE 'R(UN)?PATH' <<<"$dynamic" || complain "$name has a run-time search path"
  ! grep -qF "$root" "$library" || complain "$name holds the path of this folder"

  versions=$(readelf --version-info --wide "$library")
  glibc=$(newest GLIBC <<<"$versions")
  glibcxx=$(newest GLIBCXX <<<"$versions")
  needed=$(grep NEEDED <<<"$dynamic" | sed -E 's/.*\[(.*)\]/\1/' | paste -sd ' ')
  echo "$name: $(stat -c %s "$library") bytes, needs $glibc, $glibcxx; $needed"
  if [[ $(getconf GNU_LIBC_VERSION) == 'glibc 2.36' ]]; then
    [[ $(printf '%s\n' GLIBC_2.36 "$glibc" | sort -V | tail -n 1) == GLIBC_2.36 ]] ||
      complain "$name needs $glibc; Debian 12 has GLIBC_2.36"
    [[ $(printf '%s\n' GLIBCXX_3.4.30 "$glibcxx" | sort -V | tail -n 1) == GLIBCXX_3.4.30 ]] ||
      complain "$name needs $glibcxx; Debian 12 has GLIBCXX_3.4.30"
  fi
done
exit "$status"
