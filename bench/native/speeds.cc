#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <sstream>

#include "emulation.h"
#include "plx/partition/json_read.h"

namespace plx::emulation {

namespace {

using partition::JsonAt;
using partition::JsonError;
constexpr size_t kMostBytes = 1 << 20;
constexpr std::string_view kReplay = "replay:";
constexpr std::string_view kDense = "/dense";

// What `read` makes of the file's profiles; complaints name the file.
Status read_file(const std::string& file, const std::function<void(const JsonAt& profiles)>& read) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(Code::kIo, "cannot read the devices' profiles in '", file, "'; it is bench/profiles.json unless PLX_PROFILES names another");
  try {
    const nlohmann::json json = partition::parse_json(text.str(), kMostBytes);
    const JsonAt top(json);
    read(top.at("profiles"));
    return {};
  } catch (const JsonError& error) {
    return fail(Code::kInvalidArgument, "'", file, "' holds no devices' profiles: ", error.message);
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::kInvalidArgument, "'", file, "' holds no devices' profiles: ", error.what());
  }
}

double rate(const JsonAt& json) {
  const double number = json.number();
  if (!(number > 0)) json.complain("expected a rate above 0");
  return number;
}

}  // namespace

Result<std::vector<std::string>> read_profiles(const std::string& file) {
  std::vector<std::string> names;
  Status status = read_file(file, [&](const JsonAt& profiles) { names = profiles.keys(); });
  if (!status) return status.error();
  return names;
}

Result<Speeds> read_speeds(const std::string& file, const std::string& profile) {
  Speeds speeds;
  Status status = read_file(file, [&](const JsonAt& profiles) {
    const JsonAt chosen = profiles.at(profile);
    const JsonAt device = chosen.at("device");
    const JsonAt gflops = device.at("gflops");
    speeds.name = device.at("name").text() + " (" + profile + ")";
    speeds.dispatch_ns = device.at("dispatch_ns").number();
    if (!(speeds.dispatch_ns >= 0)) device.at("dispatch_ns").complain("expected a time");
    speeds.border_bytes_per_second = rate(device.at("border_bytes_per_second"));
    speeds.shares_memory = device.at("shares_memory").boolean();
    speeds.convolution = rate(gflops.at("convolution")) * 1e9;
    speeds.product = rate(gflops.at("product")) * 1e9;
    speeds.elementwise = rate(gflops.at("elementwise")) * 1e9;
    speeds.bytes_per_second = rate(device.at("bytes_per_second"));
  });
  if (!status) return status.error();
  return speeds;
}

Result<std::shared_ptr<device::Device>> make(const std::string& name, const std::string& profiles_file) {
  if (name == "emulated") return make_emulated();
  if (!name.starts_with(kReplay)) {
    return fail(Code::kNotFound, "'", name, "' is no emulated device: 'emulated' is, 'replay:rk3588', or 'replay:rk3588@2', twice as fast");
  }
  std::string profile = name.substr(kReplay.size());
  double speed = 1;
  if (const size_t at = profile.find('@'); at != std::string::npos) {
    const char* end = profile.data() + profile.size();
    const auto [rest, error] = std::from_chars(profile.data() + at + 1, end, speed);
    if (error != std::errc() || rest != end || !std::isfinite(speed) || !(speed > 0)) {
      return fail(Code::kNotFound, "'", name, "' is no emulated device: after '@' comes a speed above 0 in multiples of the profile's");
    }
    profile.resize(at);
  }
  const bool dense = profile.ends_with(kDense);
  if (dense) profile.resize(profile.size() - kDense.size());
  auto speeds = read_speeds(profiles_file, profile);
  if (!speeds) return speeds.error();
  return make_replay(*speeds, speed, dense);
}

}  // namespace plx::emulation
