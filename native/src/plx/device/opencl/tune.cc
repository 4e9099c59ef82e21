#include "plx/device/opencl/tune.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <optional>
#include <mutex>

#include "plx/base/hasher.h"
#include "plx/base/whole_file.h"

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

// A graph of one operator, ready on a device.
class Running final : Completion {
 public:
  Status make(Device& device, const Workload& work) {
    const size_t summed = count(work.weights) / static_cast<size_t>(work.op == std::string_view("Conv") ? work.weights[0] : work.weights[1]);
    weights_ = numbers(count(work.weights), static_cast<float>(1.7 / std::sqrt(static_cast<double>(summed))), 1);
    graph_.opsets = {{"", 17}};
    for (const auto& [name, dims] : {std::pair<const char*, const Dims&>{"x", work.input}, {"w", work.weights}, {"y", work.output}}) {
      graph::Value value;
      value.name = name;
      graph_.values.push_back(value);
      shapes_.push_back(graph::Shape{graph::ElementType::kFloat32, dims});
    }
    graph::Initializer constant;
    constant.element = graph::ElementType::kFloat32;
    constant.dims = work.weights;
    constant.size_bytes = weights_.size() * sizeof(float);
    constant.data = reinterpret_cast<const std::byte*>(weights_.data());
    graph_.initializers.push_back(constant);
    graph_.values[1].initializer = 0;
    graph_.values[2].producer = 0;
    graph_.values[2].is_output = true;
    graph::Node node;
    node.op_type = work.op;
    node.inputs = {0, 1};
    node.outputs = {2};
    graph_.nodes.push_back(node);

    inputs_ = count(work.input);
    auto in = device.lend(inputs_ * sizeof(float), Use::kInTurn);
    if (!in) return in.error();
    auto out = device.lend(count(work.output) * sizeof(float), Use::kInTurn);
    if (!out) return out.error();
    in_ = in.take();
    out_ = out.take();
    outputs_ = count(work.output);
    set_input(0);
    const graph::NodeId nodes[] = {0};
    const graph::ValueId from[] = {0};
    const graph::ValueId to[] = {2};
    auto program = device.prepare({&graph_, &shapes_, nodes, from, to});
    if (!program) return program.error();
    program_ = program.take();
    return run() ? Status{} : status_;  // builds what a driver leaves until a kernel is started
  }

  // Of another input there is nothing in any memory that is used again.
  void set_input(uint32_t seed) {
    const Floats input = numbers(inputs_, 1, seed);
    std::memcpy(in_->data(), input.data(), input.size() * sizeof(float));
  }

  // The seconds that it took; nothing if it failed, as status() says.
  std::optional<double> run() {
    const std::byte* in[] = {in_->data()};
    std::byte* out[] = {out_->data()};
    there_ = false;
    program_->submit(in, out, *this);
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return there_; });
    return status_ ? std::optional(static_cast<double>(took_ns_) * 1e-9) : std::nullopt;
  }
  const Status& status() const { return status_; }

  bool agrees_with(const Running& other) const {
    const auto* mine = reinterpret_cast<const float*>(out_->data());
    const auto* theirs = reinterpret_cast<const float*>(other.out_->data());
    return std::equal(mine, mine + outputs_, theirs, [](float a, float b) {
      return std::abs(a - b) <= kAbsolute + kRelative * std::abs(b);  // and no NaN
    });
  }

 private:
  void done(Outcome outcome) noexcept override {
    const std::lock_guard lock(mutex_);
    status_ = std::move(outcome.status);
    took_ns_ = outcome.device_ns;
    there_ = true;
    came_.notify_all();
  }

  graph::Graph graph_;
  graph::Shapes shapes_;
  Floats weights_;
  std::unique_ptr<Lent> in_, out_;
  size_t inputs_ = 0;
  size_t outputs_ = 0;
  std::unique_ptr<Program> program_;
  std::mutex mutex_;
  std::condition_variable came_;
  bool there_ = false;
  int64_t took_ns_ = 0;
  Status status_;
};

// A device that is built for a tuning, and the workloads on it.
struct Candidate {
  Tuning tuning;
  std::shared_ptr<Device> device;
  std::vector<std::unique_ptr<Running>> running;

  bool fails() const {
    return std::any_of(running.begin(), running.end(), [](const auto& one) { return !one->status(); });
  }
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
    made.running.push_back(std::make_unique<Running>());
    if (auto s = made.running.back()->make(*made.device, work); !s) return s.error();
  }
  return made;
}

// Of the times that the challenger and the best one take, the geometric mean over the workloads; over those up to the first that is
// hopeless.
Result<double> compare(Candidate& challenger, Candidate& best, uint32_t seed) {
  double logarithms = 0;
  int compared = 0;
  for (size_t i = 0; i < workloads().size(); ++i) {
    Running* const sides[] = {challenger.running[i].get(), best.running[i].get()};
    for (Running* side : sides) {
      side->set_input(seed);
      if (!side->run()) return side->status().error();
    }
    if (!sides[0]->agrees_with(*sides[1])) {
      return fail(Code::kRunFailed, "it makes other numbers than ", to_text(best.tuning), " in ", workloads()[i].op);
    }
    double shortest[] = {INFINITY, INFINITY};
    const auto ratio = [&] { return std::max(shortest[0], 1e-9) / std::max(shortest[1], 1e-9); };
    const auto begin = Clock::now();
    for (int round = 0; round < kRounds; ++round) {
      if (round > 0 && (ratio() > kHopeless || Clock::now() - begin > kLong)) break;
      for (size_t side = 0; side < 2; ++side) {
        const auto took = sides[side]->run();
        if (!took) return sides[side]->status().error();
        shortest[side] = std::min(shortest[side], *took);
      }
    }
    logarithms += std::log(ratio());
    ++compared;
    if (ratio() > kHopeless) break;
  }
  return std::exp(logarithms / compared);
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
  // A CPU's caches do what tiles are for; with PoCL they take 5 to 20 times as long, and ten seconds to build.
  const int steps = info.is_cpu ? kTuningSteps - 1 : kTuningSteps;
  for (int step = 0; step < steps; ++step) {
    for (const Tuning& tuning : alternatives(best.tuning, step, info.work_group, info.local_bytes)) {
      if (Clock::now() - begin > most) break;
      Tuned::Tried tried{tuning, 0, ""};
      auto challenger = make(index, options, tuning);
      const auto ratio = challenger ? compare(*challenger, best, static_cast<uint32_t>(tuned.tried.size() + 1)) : Result<double>(challenger.error());
      // A driver that has lost it has lost what all others are compared with.
      if (!ratio && best.fails()) return ratio.error();
      if (ratio) tried.ratio = *ratio;
      else tried.problem = ratio.error().message;
      tuned.tried.push_back(tried);
      if (!ratio || *ratio > kBetter) continue;
      tuned.best.ratio *= *ratio;
      best = challenger.take();
    }
  }
  tuned.best.tuning = best.tuning;
  const std::string file = tuning_file(options.cache_folder, info);
  if (!file.empty() && write_whole(file, to_json(tuned.best))) tuned.file = file;
  return tuned;
}

}  // namespace plx::device::opencl
