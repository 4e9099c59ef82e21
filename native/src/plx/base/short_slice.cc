#include "plx/base/short_slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace plx {

namespace {

// As the kernel has it; glibc knows neither it nor the calls before 2.41.
struct Attributes {
  uint32_t size = sizeof(Attributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};

// False unless it is one of those that share cores fairly.
bool read(Attributes& attributes) {
  return ::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 &&
         (attributes.policy == SCHED_OTHER || attributes.policy == SCHED_BATCH);
}

}  // namespace

ShortSlice::ShortSlice(bool wanted) {
  Attributes attributes;
  if (!wanted || !read(attributes) || attributes.runtime <= kNs) return;  // 0: a kernel that does not know of it
  const uint64_t before = attributes.runtime;
  attributes.runtime = kNs;
  if (::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0) before_ns_ = before;
}

ShortSlice::~ShortSlice() {
  Attributes attributes;
  if (before_ns_ == 0 || !read(attributes)) return;
  attributes.runtime = before_ns_;
  ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

uint64_t ShortSlice::now_ns() {
  Attributes attributes;
  return read(attributes) ? attributes.runtime : 0;
}

}  // namespace plx
