# plx_module(NAME graph DEPENDS base [TEST_DEPENDS ort])
#
# One folder of native/src/plx: all its *.cc except tests become the static library plx_<name>; all *_test.cc become
# one googletest program plx_<name>_test, and *_testing.cc (helpers shared by tests) are linked into it only.
# DEPENDS lists the modules this one may include; a test per module holds the includes to that (all modules share one
# include path, so the compiler would not notice).
function(plx_module)
  cmake_parse_arguments(arg "" "NAME" "DEPENDS;TEST_DEPENDS" ${ARGN})
  set(target "plx_${arg_NAME}")
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}")

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*.cc")
  set(tests "${sources}")
  list(FILTER sources EXCLUDE REGEX "_(test|testing)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_(test|testing)\\.cc$")

  list(TRANSFORM arg_DEPENDS PREPEND "plx_" OUTPUT_VARIABLE depends)
  list(TRANSFORM arg_TEST_DEPENDS PREPEND "plx_" OUTPUT_VARIABLE test_depends)
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC plx_options ${depends})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE plx_options ${depends})
  endif()

  if(PLX_TESTS)
    if(tests)
      add_executable(${target}_test ${tests})
      target_link_libraries(${target}_test PRIVATE ${target} ${test_depends} plx_gtest)
      plx_compile_quickly(${target}_test)
      plx_add_gtest(${target}_test)
    endif()
    add_test(NAME ${target}_includes
      COMMAND "${CMAKE_COMMAND}" "-DNAME=${arg_NAME}" "-DFOLDER=${folder}" "-DDEPENDS=${arg_DEPENDS}"
        "-DTEST_DEPENDS=${arg_TEST_DEPENDS}" -P "${PLX_ROOT}/cmake/check_includes.cmake")
  endif()
endfunction()
