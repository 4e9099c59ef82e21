#include "plx/device/opencl/tune.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include "plx/base/hasher.h"
#include "plx/base/whole_file.h"
#include "plx/device/one_operator.h"

namespace plx::device::opencl {

namespace {

using Dims = std::vector<int64_t>;
using Floats = std::vector<float>;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr double kBetter = 0.95;
// After one round there are no more for who is hopeless, or so slow that a clock's noise is nothing to it.
constexpr double kHopeless = 2;
constexpr std::chrono::milliseconds kLong{500};
// As the suite allows matrix products and convolutions.
constexpr double kRelative = 1e-3;
constexpr double kAbsolute = 1e-4;

struct Workload {
  const char* op;
  Dims input, weights, output;
};
const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"MatMul", {256, 512}, {512, 512}, {256, 512}},             // a transformer's projection of 256 tokens
      {"MatMul", {16, 768}, {768, 768}, {16, 768}},               // and of 16
      {"Conv", {1, 64, 58, 58}, {64, 64, 3, 3}, {1, 64, 56, 56}}  // as in the middle of yolov8n and ResNets
  };
  return all;
}

size_t count(const Dims& dims) {
  size_t all = 1;
  for (const int64_t dim : dims) all *= static_cast<size_t>(dim);
  return all;
}

Floats numbers(size_t count, float scale, uint32_t state) {
  Floats all(count);
  for (float& one : all) {
    state = state * 1664525u + 1013904223u;
    one = scale * (static_cast<float>(state >> 8) / 8388608.f - 1.f);
  }
  return all;
}

// A device that is built for a tuning, and the workloads on it.
struct Candidate {
  Tuning tuning;
  std::shared_ptr<Device> device;
  std::vector<std::unique_ptr<OneOperator>> running;
};

// tuning: nothing for what follows from the limits.
Result<Candidate> make(size_t index, Options options, std::optional<Tuning> tuning) {
  options.tuning.reset();
  if (tuning) options.tuning = TriedTuning{*tuning, 0};
  options.cache_folder.clear();  // and with it what was found before
  options.only_products = true;
  auto device = open(index, options);
  if (!device) return device.error();
  Candidate made{(*device)->info().tuning->tuning, device.take(), {}};
  for (const Workload& work : workloads()) {
    const double summed = work.op == std::string_view("Conv") ? 64 * 3 * 3 : static_cast<double>(work.weights[0]);
    std::vector<OneOperator::Operand> operands = {
        {work.input, numbers(count(work.input), 1, 0)},
        {work.weights, numbers(count(work.weights), static_cast<float>(1.7 / std::sqrt(summed)), 1), true}};
    auto one = OneOperator::make(*made.device, work.op, std::move(operands), work.output);
    if (!one) return one.error();
    made.running.push_back(one.take());
    // Builds what a driver leaves until a kernel is started.
    if (auto took = made.running.back()->run(); !took) return took.error();
  }
  return made;
}

bool agree(std::span<const float> mine, std::span<const float> theirs) {
  return std::equal(mine.begin(), mine.end(), theirs.begin(), theirs.end(), [](float a, float b) {
    return std::abs(a - b) <= kAbsolute + kRelative * std::abs(b);  // and no NaN
  });
}

struct Compared {
  double ratio = 0;
  Status challenger, best;  // what became of them
};

// Of the times that the challenger and the best one take, the geometric mean over the workloads; over those up to the first that is
// hopeless. seed: of another input than any before, so that memory that is used again holds no right answer.
Compared compare(Candidate& challenger, Candidate& best, uint32_t seed) {
  Compared compared;
  double logarithms = 0;
  int done = 0;
  for (size_t i = 0; i < workloads().size(); ++i) {
    OneOperator& mine = *challenger.running[i];
    OneOperator& theirs = *best.running[i];
    double shortest[] = {INFINITY, INFINITY};
    const auto run = [&] {
      const auto my_time = mine.run();
      if (!my_time) compared.challenger = my_time.error();
      const auto their_time = theirs.run();
      if (!their_time) compared.best = their_time.error();
      if (!my_time || !their_time) return false;
      shortest[0] = std::min(shortest[0], *my_time);
      shortest[1] = std::min(shortest[1], *their_time);
      return true;
    };
    const auto ratio = [&] { return std::max(shortest[0], 1e-9) / std::max(shortest[1], 1e-9); };
    const Floats input = numbers(count(workloads()[i].input), 1, seed);
    mine.set(0, input);
    theirs.set(0, input);
    const auto begin = Clock::now();
    for (int round = 0; round < kRounds; ++round) {
      if (round > 0 && (ratio() > kHopeless || Clock::now() - begin > kLong)) break;
      if (!run()) return compared;
      if (round == 0 && !agree(mine.output(), theirs.output())) {
        compared.challenger = fail(Code::kRunFailed, "it makes other numbers than ", to_text(best.tuning), " in ", workloads()[i].op);
        return compared;
      }
    }
    logarithms += std::log(ratio());
    ++done;
    if (ratio() > kHopeless) break;
  }
  compared.ratio = std::exp(logarithms / done);
  return compared;
}

}  // namespace

std::string tuning_file(const std::string& folder, const Info& info) {
  if (folder.empty()) return "";
  Hasher hasher;
  for (const std::string& text : {info.name, info.driver, info.kernels}) hasher.add(text);
  for (const uint64_t number : {info.compute_units, info.work_group, info.local_bytes}) hasher.add(number);
  return folder + "/opencl-" + hasher.text() + "-tuning.json";
}

Result<Tuned> tune(size_t index, const Options& options, std::chrono::milliseconds most) {
  const auto begin = Clock::now();
  auto by_limits = make(index, options, std::nullopt);
  if (!by_limits) return by_limits.error();
  Candidate best = by_limits.take();
  const Info info = best.device->info();
  Tuned tuned;
  tuned.best.ratio = 1;
  // A CPU's caches do what tiles are for; with PoCL they take 5 to 23 times as long, and ten seconds to build.
  const int steps = info.is_cpu ? kTuningSteps - 1 : kTuningSteps;
  for (int step = 0; step < steps; ++step) {
    for (const Tuning& tuning : alternatives(best.tuning, step, info.work_group, info.local_bytes)) {
      if (Clock::now() - begin > most) break;
      Tuned::Tried tried{tuning, 0, ""};
      auto challenger = make(index, options, tuning);
      if (!challenger) {
        tried.problem = challenger.error().message;
        tuned.tried.push_back(tried);
        continue;
      }
      const Compared compared = compare(*challenger, best, static_cast<uint32_t>(tuned.tried.size() + 1));
      // There is nothing any more to compare others with.
      if (!compared.best) return compared.best.error();
      if (compared.challenger) tried.ratio = compared.ratio;
      else tried.problem = compared.challenger.error().message;
      tuned.tried.push_back(tried);
      if (!compared.challenger || compared.ratio > kBetter) continue;
      tuned.best.ratio *= compared.ratio;
      best = challenger.take();
    }
  }
  tuned.best.tuning = best.tuning;
  const std::string file = tuning_file(options.cache_folder, info);
  if (!file.empty() && write_whole(file, to_json(tuned.best))) tuned.file = file;
  return tuned;
}

}  // namespace plx::device::opencl
