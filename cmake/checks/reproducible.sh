#!/usr/bin/env bash
# Builds the aarch64 library a second time, from a copy of the sources in another folder, and compares it byte by byte
# with the one in native/target.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../setup/common.sh"
source "$root/cmake/setup/java.sh"
source "$root/cmake/setup/build.sh"

library=native/target/classes/native/linux-aarch64/libparallax.so
options=(-Pcross -Dplx.skip.host=true)
[[ $machine == x86_64 ]] || options=() # on an aarch64 machine it is the machine's own library
[[ -s $root/$library ]] || die "$library is not built: run ./plx test java"

copy=$root/target/test/a-second-build-in-a-folder-with-another-name
rm -rf "$copy"
mkdir -p "$copy"
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude=target --exclude=.git -cf - pom.xml native java/api/pom.xml java/cli/pom.xml bench/pom.xml bench/native \
  cmake .deps | tar -C "$copy" -xf -
original=$root
root=$copy
maven -q "${options[@]}" -pl native package
cmp "$original/$library" "$copy/$library"
sha256sum "$original/$library" | sed "s#$original/##"
