#!/usr/bin/env bash
# Parallax from a clone: sees to the tools, builds what changed, and runs the command.
#
#   ./plx [--yes] demo|plan|run|compare|memory|bench|doctor|zoo|--help|... the command itself (java/cli)
#   ./plx [--yes] test [--long] [--soak] [STEP...]                              every test (cmake/setup/test.sh)
#   ./plx [--yes] fuzz [--minutes N] [--target NAME]                            made-up input (cmake/setup/fuzz.sh)
#
# Missing packages are listed, and installed after a question; --yes, or an input that is no terminal, answers it.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=cmake/setup/common.sh
source "$here/cmake/setup/common.sh"
# shellcheck source=cmake/setup/java.sh
source "$here/cmake/setup/java.sh"
# shellcheck source=cmake/setup/packages.sh
source "$here/cmake/setup/packages.sh"
# shellcheck source=cmake/setup/build.sh
source "$here/cmake/setup/build.sh"

arguments=()
for argument in "$@"; do
  if [[ $argument == --yes ]]; then assume_yes=1; else arguments+=("$argument"); fi
done
set -- "${arguments[@]+"${arguments[@]}"}"

case ${1-} in
  test)
    shift
    # shellcheck source=cmake/setup/test.sh
    source "$here/cmake/setup/test.sh"
    run_tests "$@"
    exit
    ;;
  fuzz)
    shift
    # shellcheck source=cmake/setup/fuzz.sh
    source "$here/cmake/setup/fuzz.sh"
    run_fuzz "$@"
    exit
    ;;
  bench)
    # What takes processes without a JVM is a benchmark of its own.
    suite=0 rest=() value='' folder=''
    for argument in "${@:2}"; do
      case $value$argument in
        --suite) value='--suite ' ;;
        '--suite memory') suite=1 value='' ;;
        --suite=memory) suite=1 ;;
        '--suite '*) value='' ;;
        *)
          if [[ -z $folder && -d $argument ]]; then folder=$argument; else rest+=("$argument"); fi
          ;;
      esac
    done
    if ((suite)); then
      exec "$here/bench/footprint" ${folder:+--models "$folder"} "${rest[@]+"${rest[@]}"}"
    fi
    set_up "${run_tools[@]}"
    ;;
  doctor)
    # A doctor looks and does not treat: nothing is installed, and without a JDK there is nobody to ask.
    if report_missing "${run_tools[@]}"; then
      set_up "${run_tools[@]}" # at most ONNX Runtime's headers
    else
      [[ -n $JAVA_HOME ]] && is_built || exit 2
    fi
    ;;
  *)
    set_up "${run_tools[@]}"
    ;;
esac
build_if_changed
flags=(--enable-native-access=ALL-UNNAMED "-Dparallax.zoo=$root/bench/zoo")
# protobuf asks for memory by a way that newer JDKs warn of.
if (($(java_major "$JAVA_HOME") >= 24)); then flags+=(--sun-misc-unsafe-memory-access=allow); fi
exec "$JAVA_HOME/bin/java" "${flags[@]}" \
  -cp "$root/java/cli/target/classes:$(<"$root/java/cli/target/classpath")" dev.parallax.cli.Main "$@"
