# The header-only libraries the core is compiled against, all of them Debian packages, as system includes:
# ONNX Runtime's C interface (the library itself is opened at run time), protozero, nlohmann-json, CLI11 (of plx-run), and
# OpenCL's headers (the library is opened at run time, too).

set(plx_ort_headers "")
foreach(folder "${PLX_ROOT}/.deps/onnxruntime" /usr/include/onnxruntime)
  if(NOT plx_ort_headers AND EXISTS "${folder}/onnxruntime_c_api.h")
    set(plx_ort_headers "${folder}")
  endif()
endforeach()
if(NOT plx_ort_headers)
  message(FATAL_ERROR "onnxruntime_c_api.h is neither in .deps/onnxruntime nor in /usr/include/onnxruntime. "
    "Run cmake/setup/ort-headers.sh, which fetches Debian's libonnxruntime-dev.")
endif()
file(STRINGS "${plx_ort_headers}/onnxruntime_c_api.h" plx_ort_api REGEX "#define ORT_API_VERSION")
string(REGEX REPLACE "[^0-9]" "" plx_ort_api "${plx_ort_api}")
if(NOT plx_ort_api EQUAL 21)
  message(FATAL_ERROR "${plx_ort_headers} is ONNX Runtime's interface ${plx_ort_api}; Parallax is written for 21. "
    "Remove that folder and run cmake/setup/ort-headers.sh.")
endif()

# /usr/include itself must not be an include folder of a cross build (it holds the host's C library), so the
# libraries are seen through a folder of links.
set(plx_links "${CMAKE_BINARY_DIR}/headers")
file(MAKE_DIRECTORY "${plx_links}")
foreach(library protozero nlohmann CLI CL)
  if(NOT EXISTS "/usr/include/${library}")
    message(FATAL_ERROR "/usr/include/${library} is missing: install libprotozero-dev, nlohmann-json3-dev,\n      libcli11-dev and opencl-headers.")
  endif()
  file(CREATE_LINK "/usr/include/${library}" "${plx_links}/${library}" SYMBOLIC)
endforeach()

target_include_directories(plx_options SYSTEM INTERFACE "${plx_ort_headers}" "${plx_links}")
