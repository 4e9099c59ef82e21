# What the commands of this folder share: set-up and build as ./plx does them, then one class of this module.
# shellcheck shell=bash
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup" && pwd)
# shellcheck source=../cmake/setup/common.sh
source "$setup/common.sh"
# shellcheck source=../cmake/setup/java.sh
source "$setup/java.sh"
# shellcheck source=../cmake/setup/packages.sh
source "$setup/packages.sh"
# shellcheck source=../cmake/setup/build.sh
source "$setup/build.sh"

bench_stamp=$root/target/bench-built

bench_is_built() {
  [[ -s $bench_stamp && $(<"$bench_stamp") == "$root" && -s $root/bench/target/classpath ]] || return 1
  [[ -z $(sources_newer_than "$bench_stamp") && -z $(find "$root/bench/src" -newer "$bench_stamp" -print -quit) ]]
}

# run_bench CLASS ARGUMENT...: builds what changed and becomes the class.
run_bench() {
  set_up "${run_tools[@]}"
  mkdir -p "$root/target"
  exec 9>"$root/target/lock"
  flock 9 # ./plx builds under the same lock
  if ! bench_is_built; then
    say "building the benchmarks ..."
    touch "$root/target/bench-began"
    quietly "$root/target/bench-build.log" maven -Dmaven.test.skip=true -pl bench -am package || exit 2
    echo "$root" >"$bench_stamp"
    touch -r "$root/target/bench-began" "$bench_stamp"
  fi
  exec 9>&-
  local flags=(--enable-native-access=ALL-UNNAMED)
  # JMH asks for memory by a way that newer JDKs warn of.
  if (($(java_major "$JAVA_HOME") >= 24)); then flags+=(--sun-misc-unsafe-memory-access=allow); fi
  # shellcheck disable=SC2206 # several options may stand in the variable
  flags+=(${BENCH_JVM_OPTIONS-})
  exec "$JAVA_HOME/bin/java" "${flags[@]}" -cp "$root/bench/target/classes:$(<"$root/bench/target/classpath")" \
    "dev.parallax.bench.$1" --root "$root" "${@:2}"
}

# plx-run, and the ONNX Runtime that it opens, are no part of the jar.
build_runner() {
  set_up "${run_tools[@]}"
  mkdir -p "$root/target"
  (
    flock 9
    quietly "$root/target/runner-ort.log" maven -pl native dependency:unpack@ort || exit 2
    cd "$root/native"
    quietly "$root/target/runner-configure.log" cmake --preset release || exit 2
    quietly "$root/target/runner-build.log" cmake --build --preset release --target plx-run plx-plan-memory plx-single-file || exit 2
  ) 9>"$root/target/lock"
}

# The core with emulated devices (bench/native), which Java then loads.
build_emulation() {
  set_up "${run_tools[@]}"
  mkdir -p "$root/target"
  (
    flock 9
    cd "$root/native"
    quietly "$root/target/emulation-configure.log" cmake --preset release || exit 2
    CMAKE_BUILD_PARALLEL_LEVEL=$(jobs_that_fit) quietly "$root/target/emulation-build.log" \
      cmake --build --preset release --target parallax-emulation || exit 2
  ) 9>"$root/target/lock"
  BENCH_JVM_OPTIONS="-Dparallax.library.path=$root/native/target/cmake/release/bench/libparallax-emulation.so ${BENCH_JVM_OPTIONS-}"
}
