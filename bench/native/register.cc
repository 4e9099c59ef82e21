// What makes the core a core with emulated devices: they are there from when the library is loaded, by the names "emulated",
// "replay:NAME" and "replay:NAME/dense" of each profile. Those of another speed are made by plx_emulate.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "emulation.h"
#include "plx/engine/devices.h"

namespace plx::emulation {

namespace {

std::string profiles_file() {
  const char* named = std::getenv("PLX_PROFILES");
  return named != nullptr && *named != '\0' ? named : PLX_PROFILES;
}

Status bring(const std::string& name) {
  static std::mutex mutex;
  // Never destroyed: threads of a JVM may outlive static destructors.
  static auto& kept = *new std::map<std::string, std::shared_ptr<device::Device>>;
  const std::lock_guard lock(mutex);
  if (kept.contains(name)) return {};
  auto made = make(name, profiles_file());
  if (!made) return made.error();
  engine::register_device(name, *made);
  kept[name] = made.take();
  return {};
}

[[maybe_unused]] const bool brought = [] {
  Status status = bring("emulated");
  auto profiles = read_profiles(profiles_file());
  if (!profiles) status = profiles.error();
  for (size_t i = 0; status && i < profiles->size(); ++i) {
    status = bring("replay:" + (*profiles)[i]);
    if (status) status = bring("replay:" + (*profiles)[i] + "/dense");
  }
  if (!status) std::fprintf(stderr, "parallax: there are no replay devices: %s\n", status.error().message.c_str());
  return true;
}();

}  // namespace
}  // namespace plx::emulation

// A device by that name from now on. Null, or why there is none: text that lives until the next call of this thread.
extern "C" __attribute__((visibility("default"))) const char* plx_emulate(const char* name) {
  thread_local std::string problem;
  const plx::Status status = plx::emulation::bring(name);
  if (status) return nullptr;
  problem = status.error().message;
  return problem.c_str();
}
