#!/usr/bin/env bash
# Fetches ONNX Runtime's C headers into .deps/onnxruntime: Debian 13's package libonnxruntime-dev, unpacked, not
# installed, which takes no rights. Debian 12 has no such package, so apt is given a source of its own: the configured
# Debian archive with the suite changed to trixie, in a private folder. The system's sources stay as they are, and apt
# checks the archive's signature and the package's checksum as ever.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

api=21 # ORT_API_VERSION of Debian 13's package
target=$root/.deps/onnxruntime
work=$root/.deps/apt
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
trap 'rm -rf "$work"' EXIT

codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")

# The first enabled source of this very Debian release, rewritten: a stanza of a .sources file ...
stanza() {
  awk -v codename="$codename" '
    BEGIN { RS = ""; FS = "\n" }
    {
      suites = " "; types = " "; enabled = 1; text = ""; field = ""
      for (i = 1; i <= NF; i++) {
        line = $i
        if (line ~ /^#/) continue
        if (line !~ /^[ \t]/) { field = tolower(line); sub(/:.*/, "", field) }
        value = line; sub(/^[^:]*:/, "", value)
        if (field == "enabled" && tolower(value) ~ /^[ \t]*(no|false|off|0)[ \t]*$/) enabled = 0
        if (field == "suites") { suites = suites value " "; continue }
        if (field == "types") { types = types value " "; continue }
        if (field == "components") continue
        text = text line "\n"
      }
      gsub(/[ \t]+/, " ", suites); gsub(/[ \t]+/, " ", types)
      if (enabled && index(types, " deb ") && index(suites, " " codename " ")) {
        printf "Types: deb\nSuites: trixie\nComponents: main\n%s", text
        exit
      }
    }' "$@"
}

# ... or a line of sources.list: deb [options] URI SUITE COMPONENT...
one_line() {
  awk -v codename="$codename" '
    /^[ \t]*deb[ \t]/ {
      sub(/#.*/, "")
      options = ""
      if (match($0, /\[[^]]*\]/)) { options = substr($0, RSTART, RLENGTH) " "; sub(/\[[^]]*\]/, "") }
      if ($3 == codename) { print "deb " options $2 " trixie main"; exit }
    }' "$@"
}

shopt -s nullglob
sources=(/etc/apt/sources.list.d/*.sources)
lists=(/etc/apt/sources.list.d/*.list)
[[ ! -f /etc/apt/sources.list ]] || lists+=(/etc/apt/sources.list)
list=$work/trixie.sources
: >"$list"
((${#sources[@]} == 0)) || stanza "${sources[@]}" >"$list"
if [[ ! -s $list ]]; then
  list=$work/trixie.list
  : >"$list"
  ((${#lists[@]} == 0)) || one_line "${lists[@]}" >"$list"
fi
[[ -s $list ]] || die "no package source of Debian ${codename:-(unknown release)} is configured in /etc/apt:" \
  "put the headers of ONNX Runtime 1.21 (onnxruntime_c_api.h and its neighbours) into $target by hand"

apt=(apt-get -q -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists"
  -o "Dir::Cache=$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User= -o Acquire::Retries=3)
fetch() {
  cd "$work" && "${apt[@]}" update && "${apt[@]}" download libonnxruntime-dev &&
    dpkg-deb -x libonnxruntime-dev_*.deb unpacked
}
say "fetching ONNX Runtime's headers from Debian trixie ..."
quietly "$root/target/ort-headers.log" fetch || die "could not fetch libonnxruntime-dev, see above"

found=$(grep -rl --include=onnxruntime_c_api.h "#define ORT_API_VERSION $api\$" "$work/unpacked" || true)
[[ -n $found ]] || die "libonnxruntime-dev is not ONNX Runtime's interface version $api"
rm -rf "$target"
mv "$(dirname "$found")" "$target"
