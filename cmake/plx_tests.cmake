# googletest, built from Debian's sources so that it fits every preset (sanitizers, cross build), and how tests run.

# Without that package there are no tests, and ctest fails for want of any.
set(plx_gtest_source /usr/src/googletest/googletest)
if(EXISTS "${plx_gtest_source}/src/gtest-all.cc")
  set(PLX_TESTS ON)
else()
  set(PLX_TESTS OFF)
  message(STATUS "Debian's package googletest is not installed: no native tests")
  return()
endif()
enable_testing()
add_library(plx_gtest STATIC EXCLUDE_FROM_ALL
  "${plx_gtest_source}/src/gtest-all.cc" "${plx_gtest_source}/src/gtest_main.cc")
target_include_directories(plx_gtest SYSTEM PUBLIC "${plx_gtest_source}/include")
target_include_directories(plx_gtest PRIVATE "${plx_gtest_source}")
target_compile_features(plx_gtest PUBLIC cxx_std_20)
target_compile_options(plx_gtest PRIVATE -O0 -g0)
target_link_libraries(plx_gtest PUBLIC pthread)

if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(plx_ort_arch linux-aarch64)
else()
  set(plx_ort_arch linux-x64)
endif()
set(plx_ort_unpacked "${PLX_ROOT}/native/target/ort/ai/onnxruntime/native")
set(PLX_ORT_LIBRARY "${plx_ort_unpacked}/${plx_ort_arch}/libonnxruntime.so" CACHE FILEPATH
  "The ONNX Runtime library the tests open; unpacked there by: mvn -pl native dependency:unpack@ort")

set(plx_test_environment "PLX_ORT_LIBRARY=${PLX_ORT_LIBRARY}" "PLX_TEST_DATA=${PLX_ROOT}/native/testdata")
set(plx_test_launcher "")
# Death tests keep the default style: a fresh process each would fail under qemu, and under AddressSanitizer.

if(CMAKE_CROSSCOMPILING)
  # qemu looks below its -L folder first for every file a program opens: the target's libraries and, because older
  # versions show the host's /proc/cpuinfo and ONNX Runtime's CPU detection crashes on that, an ARM board's.
  find_program(PLX_QEMU NAMES qemu-aarch64 qemu-aarch64-static REQUIRED)
  set(plx_qemu_root "${CMAKE_BINARY_DIR}/qemu-root")
  file(MAKE_DIRECTORY "${plx_qemu_root}/proc")
  file(CREATE_LINK /usr/aarch64-linux-gnu/lib "${plx_qemu_root}/lib" SYMBOLIC)
  configure_file("${PLX_ROOT}/cmake/qemu/cpuinfo" "${plx_qemu_root}/proc/cpuinfo" COPYONLY)
  set(plx_test_launcher "${PLX_QEMU}" -L "${plx_qemu_root}")
endif()

if(PLX_SANITIZE MATCHES "address")
  add_library(plx_ort_startup_leak OBJECT EXCLUDE_FROM_ALL "${PLX_ROOT}/native/testing/ort_startup_leak.cc")
  target_link_libraries(plx_ort_startup_leak PUBLIC plx_options)
  list(APPEND plx_test_environment "UBSAN_OPTIONS=print_stacktrace=1"
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1")
elseif(PLX_SANITIZE MATCHES "thread")
  # report_mutex_bugs: of ONNX Runtime's mutexes only those calls are seen that go through libstdc++ (tsan.supp), so
  # that they seem to be unlocked without having been locked.
  list(APPEND plx_test_environment "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:report_mutex_bugs=0:\
suppressions=${PLX_ROOT}/cmake/tsan.supp")
  # ThreadSanitizer of GCC 12 does not know the wider address randomisation of newer kernels.
  execute_process(COMMAND setarch -R true RESULT_VARIABLE plx_setarch OUTPUT_QUIET ERROR_QUIET)
  if(plx_setarch EQUAL 0)
    set(plx_test_launcher setarch -R)
  endif()
endif()

# Test code is compiled once and run for a second, so its compile time counts: not optimised, without the checks of
# undefined behaviour (the code under test has them), and with googletest's headers compiled once for all.
function(plx_compile_quickly target)
  target_compile_options(${target} PRIVATE -O0 -g0)
  if(PLX_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fno-sanitize=undefined)
  endif()
  get_property(first GLOBAL PROPERTY plx_first_test)
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE <gtest/gtest.h> <map> <random> <string> <vector>)
    set_property(GLOBAL PROPERTY plx_first_test ${target})
  endif()
endfunction()

# Of two programs at a time, what takes longest has to begin first: those that take long, the longest last.
set(plx_longest plx_run_test plx_partition_test plx_engine_test plx_cts plx_schedule_test)

# Registers a googletest program: one ctest entry, its cases reported to test-results/<name>.xml.
function(plx_add_gtest target)
  if(TARGET plx_ort_startup_leak)
    target_link_libraries(${target} PRIVATE plx_ort_startup_leak)
  endif()
  add_test(NAME ${target} COMMAND ${plx_test_launcher} "$<TARGET_FILE:${target}>"
    "--gtest_output=xml:${CMAKE_BINARY_DIR}/test-results/${target}.xml" --gtest_brief=1)
  list(FIND plx_longest "${target}" cost)
  math(EXPR cost "${cost} + 1")
  set_tests_properties(${target} PROPERTIES ENVIRONMENT "${plx_test_environment}" COST ${cost})
endfunction()
