#include "plx/ort/division.h"

#if defined(__x86_64__)

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>

namespace plx::ort {

namespace {

constexpr size_t kMostLibraries = 16;
struct Code {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
};
Code codes[kMostLibraries];  // read by the handler, so no container
struct sigaction before;

// The length of an IDIV at `code`, of 32 or 64 bits; 0 if it is another instruction.
size_t idiv_length(const uint8_t* code, bool& wide) {
  size_t at = 0;
  wide = false;
  if ((code[at] & 0xf0) == 0x40) {  // REX
    wide = (code[at] & 0x08) != 0;
    ++at;
  }
  if (code[at] != 0xf7 || ((code[at + 1] >> 3) & 7) != 7) return 0;
  ++at;
  const uint8_t mod = code[at] >> 6;
  const uint8_t rm = code[at] & 7;
  ++at;
  bool displaced = mod == 0 && rm == 5;  // relative to the next instruction
  if (mod != 3 && rm == 4) {
    displaced = mod == 0 && (code[at] & 7) == 5;
    ++at;
  }
  if (mod == 1) return at + 1;
  return displaced || mod == 2 ? at + 4 : at;
}

bool within_a_library(uintptr_t address) {
  for (const Code& code : codes) {
    const uintptr_t begin = code.begin.load(std::memory_order_acquire);
    if (address >= begin && address < code.end.load(std::memory_order_acquire)) return true;
  }
  return false;
}

bool finish(ucontext_t* context) {
  greg_t* registers = context->uc_mcontext.gregs;
  const auto place = static_cast<uintptr_t>(registers[REG_RIP]);
  if (!within_a_library(place)) return false;
  bool wide = false;
  const size_t length = idiv_length(reinterpret_cast<const uint8_t*>(place), wide);
  if (length == 0) return false;
  // The dividend is in two halves, and of all that are the extension of one number only the smallest can overflow. A
  // divisor of 0 looks the same here and would get the same answer, as it does on ARM.
  const auto low = static_cast<uint64_t>(registers[REG_RAX]);
  const auto high = static_cast<uint64_t>(registers[REG_RDX]);
  const bool smallest = wide ? low == uint64_t{1} << 63 && high == std::numeric_limits<uint64_t>::max()
                             : static_cast<uint32_t>(low) == uint32_t{1} << 31 &&
                                   static_cast<uint32_t>(high) == std::numeric_limits<uint32_t>::max();
  if (!smallest) return false;
  registers[REG_RDX] = 0;  // the remainder; the quotient is in RAX already
  registers[REG_RIP] += static_cast<greg_t>(length);
  return true;
}

void on_trap(int signal, siginfo_t* info, void* context) {
  if (finish(static_cast<ucontext_t*>(context))) return;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    ::sigaction(signal, &before, nullptr);  // and the instruction traps again
  }
}

struct Search {
  uintptr_t base = 0;
  Code* code = nullptr;
};

int note_code(dl_phdr_info* library, size_t, void* data) {
  const auto* search = static_cast<Search*>(data);
  if (library->dlpi_addr != search->base) return 0;
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    search->code->begin.store(library->dlpi_addr + segment.p_vaddr, std::memory_order_release);
    search->code->end.store(library->dlpi_addr + segment.p_vaddr + segment.p_memsz, std::memory_order_release);
  }
  return 1;
}

}  // namespace

void finish_overflowing_divisions(void* library) {
  static std::mutex mutex;  // guards what follows; the handler reads `codes` alone
  static size_t known = 0;
  static uintptr_t bases[kMostLibraries];
  link_map* map = nullptr;
  if (::dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) return;
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < known; ++i) {
    if (bases[i] == map->l_addr) return;
  }
  if (known == kMostLibraries) return;
  Search search{map->l_addr, &codes[known]};
  ::dl_iterate_phdr(note_code, &search);
  bases[known] = map->l_addr;
  if (known++ != 0) return;
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGFPE, &action, &before);
}

}  // namespace plx::ort

#else

namespace plx::ort {

void finish_overflowing_divisions(void*) {}

}  // namespace plx::ort

#endif
