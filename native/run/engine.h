// What plx-run asks of an engine, so that one loop measures both.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace plx::run {

// Bad input or a failed call: the message is for people, and plx-run exits with 2.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A memory budget that cannot be kept; plx-run says what it measured all the same, and exits with 3.
struct OverBudget : Failure {
  OverBudget(const std::string& message, uint64_t requested, uint64_t available)
      : Failure(message), requested_bytes(requested), available_bytes(available) {}
  uint64_t requested_bytes;
  uint64_t available_bytes;
};

struct Options {
  std::string model;
  std::string ort_library;
  int threads = 0;
  std::string units = "mixed";
  std::string side_by_side = "plan";  // which units may run so: those the plan says; none; all
  uint64_t memory_budget_bytes = 0;
  double memory_margin = 0;
  std::string cache_folder;
  std::string device;            // none if empty
  std::string offload = "auto";  // or all, none
};

// A graph input as declared; -1 for an open size.
struct Declared {
  std::string name;
  int32_t element = 0;  // plx_element_type
  std::vector<int64_t> dims;
};

struct Input {
  int32_t element = 0;
  std::vector<int64_t> dims;
  std::vector<std::byte> bytes;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::vector<Declared> inputs() = 0;
  // Compiles for these inputs, which outlive the engine.
  virtual void prepare(const std::vector<Input>& inputs) = 0;
  virtual void run() = 0;
  // 64 bits over all outputs' bytes, in order.
  virtual uint64_t digest() = 0;
  virtual nlohmann::json report() = 0;
  // The planner's problem, as text.
  virtual std::string memory_problem() = 0;
};

std::unique_ptr<Engine> parallax(const Options& options);
std::unique_ptr<Engine> plain(const Options& options);

// FNV-1a.
inline uint64_t add_to_digest(uint64_t digest, const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) digest = (digest ^ at[i]) * 0x100000001b3u;
  return digest;
}
inline constexpr uint64_t kEmptyDigest = 0xcbf29ce484222325u;

}  // namespace plx::run
