// A libFuzzer program for one of the targets; PLX_FUZZ_TARGET is its name. What a target throws ends the program, and
// libFuzzer keeps the input.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "targets.h"

#define PLX_JOIN_(a, b) a##b
#define PLX_JOIN(a, b) PLX_JOIN_(a, b)

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t longest);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  plx::fuzz::PLX_JOIN(fuzz_, PLX_FUZZ_TARGET)({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t longest, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, longest);
  const auto mutate_bytes = [](std::string& bytes, size_t limit) {
    const size_t before = bytes.size();
    bytes.resize(limit);
    bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), before, limit));
  };
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const std::string made = plx::fuzz::PLX_JOIN(mutate_, PLX_FUZZ_TARGET)(input, seed / 4, mutate_bytes);
  if (made.empty() || made.size() > longest || made == input) return LLVMFuzzerMutate(data, size, longest);
  std::memcpy(data, made.data(), made.size());
  return made.size();
}
