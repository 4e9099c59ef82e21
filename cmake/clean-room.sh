#!/usr/bin/env bash
# Runs a command in a fresh clone of this repository on a bare Debian, made by debootstrap in a folder. Run by hand, as
# root, to prove what the README promises:
#
#   cmake/clean-room.sh /var/tmp/room ./plx demo
#   cmake/clean-room.sh --suite bookworm --copy /usr/lib/jvm/temurin-25 /var/tmp/room ./plx test
#
#   --suite NAME    trixie (default) or bookworm
#   --mirror URL    Debian archive, where debootstrap's own choice is not the right one
#   --copy PATH     copies a file or folder of this machine to the same place in the room: a JDK, or where the
#                   network has a certificate authority of its own /usr/local/share/ca-certificates
#   --env NAME      hands an environment variable on; nothing else is
#   --uncommitted   takes the working tree as it is in place of a clone of the last commit
#
# An existing FOLDER is used again as it is, with a new clone: the second call of a command is tried that way.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup/common.sh"

usage() {
  sed -nE '2,/^set /{/^#/s/^# ?//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

suite=trixie
mirror=()
copies=(/etc/resolv.conf /etc/hosts)
variables=()
uncommitted=0
while [[ ${1-} == --* ]]; do
  case $1 in
    --suite) suite=${2-} ;;
    --mirror) mirror=("${2-}") ;;
    --copy) copies+=("${2-}") ;;
    --env) variables+=("${2-}") ;;
    --uncommitted) uncommitted=1 ;;
    *) usage ;;
  esac
  [[ $1 == --uncommitted ]] || shift
  shift || usage
done
(($# >= 2)) || usage
((EUID == 0)) || die "needs root: debootstrap and chroot do"
command -v debootstrap >/dev/null || die "install debootstrap"
room=$1
shift

began=$SECONDS
if [[ ! -x $room/bin/sh ]]; then
  debootstrap --variant=minbase "$suite" "$room" "${mirror[@]+"${mirror[@]}"}"
fi
for path in "${copies[@]}"; do
  mkdir -p "$room/$(dirname "$path")"
  cp -aL --no-target-directory "$path" "$room/$path"
done
rm -rf "$room/parallax"
if ((uncommitted)); then
  mkdir "$room/parallax"
  git -C "$root" ls-files -z --cached --others --exclude-standard |
    tar -C "$root" --null --files-from=- -cf - | tar -C "$room/parallax" -xf -
else
  git clone --quiet --no-local "$root" "$room/parallax"
fi
# shellcheck source=/dev/null
say "the room is ready after $((SECONDS - began)) s: $(. "$room/etc/os-release" && echo "$PRETTY_NAME"), $room"

environment=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in "${variables[@]+"${variables[@]}"}"; do environment+=("$name=${!name-}"); done
began=$SECONDS
status=0
# The mounts live in a name space of their own and go with it.
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount bash -c '
  room=$1; shift
  mount -t proc proc "$room/proc" && mount --rbind /dev "$room/dev" && mount --rbind /sys "$room/sys" &&
    exec chroot "$room" env -i "$@"' room "$room" "${environment[@]}" \
  bash -c 'cd /parallax && exec "$@"' command "$@" </dev/null || status=$?
say "status $status after $((SECONDS - began)) s: $*"
exit "$status"
