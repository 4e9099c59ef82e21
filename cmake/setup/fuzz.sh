# ./plx fuzz: libFuzzer on what Parallax reads. A finding is kept as a file and makes the exit status 1.
# shellcheck shell=bash

fuzz_targets=(import plan)
fuzz_folder=$root/target/fuzz
fuzz_seeds=$root/native/fuzz/corpus

declare -A fuzz_titles=(
  [import]='models: the reader, and cutting and writing what it accepts'
  [plan]='plans in JSON: their reader and the validator'
)

# clang and the runtime of its libFuzzer, as Debian 12 and 13 name them.
if [[ $(system_release) == 'debian 12' ]]; then
  fuzz_runtime=/usr/lib/llvm-14/lib/clang/14.0.6/include/fuzzer:libclang-rt-14-dev
else
  fuzz_runtime=/usr/lib/llvm-19/lib/clang/19/include/fuzzer:libclang-rt-19-dev
fi
fuzz_tools=("${run_tools[@]}" /usr/src/googletest/googletest/src/gtest-all.cc:googletest clang++:clang "$fuzz_runtime")

fuzz_usage() {
  local target
  echo "usage: ./plx fuzz [--yes] [--minutes N] [--target import|plan]"
  echo "Feeds made-up input to what Parallax reads, with AddressSanitizer and UndefinedBehaviorSanitizer, for N minutes"
  echo "(default 5), every target at once. Inputs that led somewhere new are kept in target/fuzz and are where the next"
  echo "call goes on from. Exit status 1 if anything was found."
  for target in "${fuzz_targets[@]}"; do printf '  %-8s %s\n' "$target" "${fuzz_titles[$target]}"; done
}

# The last line of progress that libFuzzer printed, in words.
fuzz_progress() {
  awk '/^#[0-9]+/ { line = $0 } END {
    n = split(line, word, /[ \t]+/)
    for (i = 1; i < n; ++i) {
      if (word[i] == "cov:") coverage = word[i + 1]
      if (word[i] == "corp:") { corpus = word[i + 1]; sub(/\/.*/, "", corpus) }
      if (word[i] == "exec/s:") speed = word[i + 1]
    }
    sub(/^#/, "", word[1])
    printf "%d inputs, %d a second, %d places of the code reached, %d inputs kept", word[1], speed, coverage, corpus
  }' "$1"
}

run_fuzz() {
  local minutes=5 targets=() target
  while (($#)); do
    case $1 in
      --help) fuzz_usage; exit 0 ;;
      --minutes)
        [[ ${2-} =~ ^[0-9]+$ && $2 -gt 0 ]] || die "--minutes wants a number of at least 1, not '${2-}'"
        minutes=$2
        shift 2
        ;;
      --target)
        [[ -n ${2-} && -n ${fuzz_titles[$2]-} ]] || die "--target wants one of ${fuzz_targets[*]}, not '${2-}'"
        targets+=("$2")
        shift 2
        ;;
      *)
        fuzz_usage >&2
        die "no such option: $1"
        ;;
    esac
  done
  ((${#targets[@]})) || targets=("${fuzz_targets[@]}")

  set_up "${fuzz_tools[@]}"
  mkdir -p "$fuzz_folder/findings"
  say "building the fuzzers ..."
  build_fuzzers "${targets[@]}" || exit 2

  local passed=0 failed=0 began=$SECONDS minute=0 i status
  fuzz_pids=()
  trap 'kill "${fuzz_pids[@]}" 2>/dev/null || true' EXIT # a shell's background jobs do not hear ^C
  for target in "${targets[@]}"; do
    mkdir -p "$fuzz_folder/$target/corpus"
    echo "$target: ${fuzz_titles[$target]}, $minutes min"
    (
      cd "$fuzz_folder/$target"
      exec "$root/native/target/cmake/fuzz/fuzz/plx_fuzz_$target" -max_total_time=$((minutes * 60)) -timeout=60 \
        -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$fuzz_folder/findings/$target-" corpus "$fuzz_seeds/$target"
    ) >"$fuzz_folder/$target.log" 2>&1 </dev/null &
    fuzz_pids+=($!)
  done
  while [[ -n $(jobs -rp) ]]; do
    sleep 2
    (((SECONDS - began) / 60 > minute)) || continue
    minute=$(((SECONDS - began) / 60))
    for target in "${targets[@]}"; do
      echo "  $minute min, $target: $(fuzz_progress "$fuzz_folder/$target.log")"
    done
  done
  for i in "${!targets[@]}"; do
    target=${targets[i]}
    status=0
    wait "${fuzz_pids[i]}" || status=$?
    if ((status == 0)); then
      passed=$((passed + 1))
      echo "$target: nothing found in $(fuzz_progress "$fuzz_folder/$target.log")"
    else
      failed=$((failed + 1))
      echo "$target: FOUND after $(fuzz_progress "$fuzz_folder/$target.log")"
      grep -E 'what\(\)|ERROR: |SUMMARY: |runtime error|Test unit written' "$fuzz_folder/$target.log" |
        sed 's/^/    | /' || true
      echo "    the input is in target/fuzz/findings, the whole output in target/fuzz/$target.log"
      echo "    once mended, put the input into native/fuzz/corpus/$target: tests run what lies there"
    fi
  done
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

build_fuzzers() {
  (
    cd "$root/native"
    quietly "$fuzz_folder/build.log" cmake --preset fuzz &&
      CMAKE_BUILD_PARALLEL_LEVEL=$(jobs_that_fit) quietly "$fuzz_folder/build.log" \
        cmake --build --preset fuzz --target "${@/#/plx_fuzz_}"
  )
}
