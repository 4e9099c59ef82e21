# Builds the command when a source changed since the last build. Asking costs a few milliseconds.
# shellcheck shell=bash
built_stamp=$root/target/built

# Everything a build reads. Folders count as well as files, so that a file taken away is noticed.
sources_newer_than() {
  local places=("$root/pom.xml" "$root"/*/pom.xml "$root"/java/*/pom.xml "$root"/cmake/*.cmake "$root"/cmake/*.map
    "$root"/native/CMake* "$root/native/include" "$root/native/src" "$root/native/run" "$root"/java/*/src "$root/bindings/generated")
  find "${places[@]}" -newer "$1" -print -quit
}

is_built() {
  [[ -s $built_stamp && $(<"$built_stamp") == "$root" && -s $root/java/cli/target/classpath ]] || return 1
  [[ -d $root/java/cli/target/classes && -d $root/native/target/classes/native ]] || return 1
  [[ -z $(sources_newer_than "$built_stamp") ]]
}

maven() {
  local opts=${MAVEN_OPTS-}
  # Maven's own libraries make newer JDKs print warnings.
  if (($(java_major "$JAVA_HOME") >= 24)); then
    opts+=' --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow'
  fi
  CMAKE_BUILD_PARALLEL_LEVEL=$(jobs_that_fit) MAVEN_OPTS=$opts mvn -B -ntp -f "$root/pom.xml" "$@"
}

# After a build that began when target/build-began was touched: what changed since then is still to be built.
mark_built() {
  echo "$root" >"$built_stamp"
  touch -r "$root/target/build-began" "$built_stamp"
}

build_if_changed() {
  if is_built; then return; fi
  mkdir -p "$root/target"
  exec 9>"$root/target/lock"
  flock 9 # another ./plx may be building; afterwards there may be nothing left to do
  if ! is_built; then
    say "building (the first time Maven also downloads the libraries and the demo's model, some 200 MB) ..."
    touch "$root/target/build-began"
    quietly "$root/target/build.log" maven -Dmaven.test.skip=true -pl java/cli -am package || exit 2
    mark_built
  fi
  exec 9>&-
}
