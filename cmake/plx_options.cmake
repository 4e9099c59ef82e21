# How every C++ file of Parallax is compiled: one interface target, plx_options.
add_library(plx_options INTERFACE)
target_compile_features(plx_options INTERFACE cxx_std_20)
target_include_directories(plx_options INTERFACE "${PLX_ROOT}/native/src" "${PLX_ROOT}/native/include")
target_compile_definitions(plx_options INTERFACE "PLX_VERSION=\"${PROJECT_VERSION}\"")
target_compile_options(plx_options INTERFACE
  -Wall -Wextra -Werror
  # Sections let the linker drop what nobody calls; the prefix map keeps this folder's name out of the library, so
  # that two builds of one commit are the same bytes wherever they are made.
  -ffunction-sections -fdata-sections "-ffile-prefix-map=${PLX_ROOT}/=")
target_link_libraries(plx_options INTERFACE ${CMAKE_DL_LIBS} pthread)

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG") # lines for stack traces; full debug information costs a third more
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(PLX_SANITIZE)
  # Everything, googletest included, is compiled and linked with them. GCC's data-flow warnings are often wrong on
  # instrumented code, so there they are no errors; the other presets still hold the code to them.
  target_compile_options(plx_options INTERFACE -Wno-error)
  add_compile_options("-fsanitize=${PLX_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer -Og -g1)
  add_link_options("-fsanitize=${PLX_SANITIZE}")
endif()
