# Finds a JDK 22 or newer and sets JAVA_HOME to it, or to nothing. JAVA_HOME itself comes first, then the newest of
# java on PATH and /usr/lib/jvm. Reads each JDK's `release` file: starting java would take ten times as long.
# shellcheck shell=bash
minimum_java=22

# Prints the major version of the JDK in folder $1, or nothing if there is none for this machine.
java_major() {
  local version='' arch='' line
  [[ -x $1/bin/javac && -r $1/release ]] || return 0
  while IFS= read -r line; do
    line=${line//\"/}
    case $line in
      JAVA_VERSION=*) version=${line#*=} ;;
      OS_ARCH=*) arch=${line#*=} ;;
    esac
  done <"$1/release"
  [[ -z $arch || $arch == "$machine" || $arch/$machine == amd64/x86_64 ]] || return 0
  version=${version%%[!0-9]*}
  echo "$version"
}

find_java() {
  local candidate major best=0 found='' on_path
  major=$(java_major "${JAVA_HOME:-/nowhere}")
  if ((${major:-0} >= minimum_java)); then
    return
  fi
  if [[ -n ${JAVA_HOME-} ]]; then
    say "JAVA_HOME=$JAVA_HOME is no JDK $minimum_java or newer; looking elsewhere"
  fi
  on_path=$(readlink -f "$(command -v java || echo /nowhere)")
  for candidate in "${on_path%/bin/java}" /usr/lib/jvm/*; do
    major=$(java_major "$candidate")
    if ((${major:-0} >= minimum_java && ${major:-0} > best)); then
      best=$major
      found=$candidate
    fi
  done
  JAVA_HOME=$found
}

find_java
export JAVA_HOME
