// Parallax through its C ABI, as a program in C would use it.
#include <plx/plx.h>

#include <cstring>

#include "engine.h"

namespace plx::run {

namespace {

void must(plx_status* status) {
  if (status == nullptr) return;
  const std::string text = plx_status_message(status);
  const int32_t code = plx_status_code(status);
  const OverBudget over(text, plx_status_requested_bytes(status), plx_status_available_bytes(status));
  plx_status_release(status);
  if (code == PLX_MEMORY_BUDGET) throw over;
  throw Failure(text);
}

template <class Call>
std::string text_of(Call&& call) {
  plx_text* text = nullptr;
  must(call(&text));
  const std::unique_ptr<plx_text, void (*)(plx_text*)> owner(text, plx_text_release);
  return {plx_text_data(text), plx_text_size(text)};
}

template <class Call>
nlohmann::json json_of(Call&& call) {
  return nlohmann::json::parse(text_of(call));
}

int32_t units_of(const std::string& name) {
  static constexpr const char* kNames[] = {"whole", "layers", "branches", "nodes", "mixed"};
  for (int32_t i = 0; i < 5; ++i) {
    if (name == kNames[i]) return i;
  }
  throw Failure("--units " + name + ": it must be whole, layers, branches, nodes or mixed");
}

class Parallax final : public Engine {
 public:
  explicit Parallax(const Options& options) : Parallax(options, units_of(options.units)) {
    plx_engine_options engine{};
    engine.struct_size = sizeof engine;
    engine.ort_library_path = options.ort_library.c_str();
    engine.threads = options.threads;
    must(plx_engine_create(&engine, &engine_));
    plx_model_options model{};
    model.struct_size = sizeof model;
    model.cache_folder = options.cache_folder.c_str();
    must(plx_model_load_file(engine_, options.model.c_str(), &model, &model_));
  }
  ~Parallax() override {
    plx_session_release(session_);
    plx_plan_release(plan_);
    plx_model_release(model_);
    plx_engine_release(engine_);
  }

  std::vector<Declared> inputs() override {
    const nlohmann::json info = json_of([&](plx_text** out) { return plx_model_info_json(model_, out); });
    std::vector<Declared> declared;
    for (const auto& input : info.at("inputs")) {
      if (input.at("kind") != "tensor" || input.at("shape").is_null()) {
        throw Failure("input '" + input.at("name").get<std::string>() + "' is no tensor of known rank");
      }
      Declared& one = declared.emplace_back();
      one.name = input.at("name");
      one.element = input.at("type");
      for (const auto& dim : input.at("shape")) one.dims.push_back(dim.is_number() ? dim.get<int64_t>() : -1);
      names_.push_back(one.name);
    }
    outputs_ = info.at("outputs").size();
    return declared;
  }

  void prepare(const std::vector<Input>& inputs) override {
    std::vector<const char*> names;
    std::vector<size_t> ranks;
    std::vector<int64_t> dims;
    for (size_t i = 0; i < inputs.size(); ++i) {
      names.push_back(names_[i].c_str());
      ranks.push_back(inputs[i].dims.size());
      dims.insert(dims.end(), inputs[i].dims.begin(), inputs[i].dims.end());
    }
    plx_plan_options plan{};
    plan.struct_size = sizeof plan;
    plan.units = units_;
    plan.rule = PLX_RULE_RELAXED;
    plan.shape_names = names.data();
    plan.shape_ranks = ranks.data();
    plan.shape_dims = dims.data();
    plan.shape_count = names.size();
    plan.device = options_.device.c_str();
    plan.offload = options_.offload == "all" ? PLX_OFFLOAD_ALL : options_.offload == "none" ? PLX_OFFLOAD_NONE : PLX_OFFLOAD_AUTO;
    must(plx_plan_make(model_, &plan, &plan_));
    const std::vector<std::byte> schedule = schedule_of_plan();
    plx_session_options session{};
    session.struct_size = sizeof session;
    session.schedule = schedule.data();
    session.schedule_bytes = schedule.size();
    session.memory_budget_bytes = options_.memory_budget_bytes;
    session.memory_margin = options_.memory_margin;
    must(plx_session_create(model_, plan_, &session, &session_));
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Input& input = inputs[i];
      const plx_tensor tensor{const_cast<std::byte*>(input.bytes.data()), input.bytes.size(), input.dims.data(),
                              input.dims.size(), input.element, 0};
      must(plx_session_bind_input(session_, i, &tensor));
    }
  }

  void run() override {
    plx_run_info info{};
    info.struct_size = sizeof info;
    must(plx_session_run(session_, &info));
  }

  uint64_t digest() override {
    uint64_t digest = kEmptyDigest;
    for (size_t i = 0; i < outputs_; ++i) {
      plx_tensor tensor{};
      must(plx_session_output(session_, i, &tensor));
      digest = add_to_digest(digest, tensor.data, tensor.size_bytes);
    }
    return digest;
  }

  nlohmann::json report() override {
    nlohmann::json report = json_of([&](plx_text** out) { return plx_session_report_json(session_, out); });
    report["unit_count"] = report.at("units").size();
    for (const char* field : {"device_ns", "copied_bytes"}) {
      uint64_t sum = 0;
      for (const auto& unit : report.at("units")) sum += unit.value(field, uint64_t{0});
      report[field] = sum;
    }
    uint64_t there = 0;
    for (const auto& unit : report.at("units")) there += unit.at("device") == "cpu" ? 0 : 1;
    report["units_on_device"] = there;
    report.erase("units");
    return report;
  }

  std::string memory_problem() override {
    return text_of([&](plx_text** out) { return plx_session_memory_problem(session_, out); });
  }

 private:
  // So that the destructor runs if the public one throws half-way.
  Parallax(const Options& options, int32_t units) : options_(options), units_(units) {}

  // The plan's own order: units narrow that are for running side by side, all others wide, unless told otherwise. Policies
  // are Java's.
  std::vector<std::byte> schedule_of_plan() {
    const nlohmann::json plan = json_of([&](plx_text** out) { return plx_plan_to_json(plan_, out); });
    const auto& units = plan.at("units");
    plx_schedule_header header{};
    header.magic = PLX_SCHEDULE_MAGIC;
    header.version = 1;
    header.unit_count = static_cast<uint32_t>(units.size());
    header.memory_budget_bytes = options_.memory_budget_bytes;
    std::vector<std::byte> block(sizeof header + units.size() * sizeof(plx_schedule_entry));
    std::memcpy(block.data(), &header, sizeof header);
    for (size_t i = 0; i < units.size(); ++i) {
      const bool wide = units_ == PLX_UNITS_WHOLE || options_.side_by_side == "none" ||
                        (options_.side_by_side == "plan" && units[i].at("wide").get<bool>());
      const bool on_device = !options_.device.empty() && units[i].at("region").get<int>() >= 0;
      const plx_schedule_entry entry{static_cast<uint32_t>(i), on_device ? 1u : 0u, wide ? 0u : 1u, 0};
      std::memcpy(block.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
    }
    return block;
  }

  const Options options_;
  const int32_t units_;
  plx_engine* engine_ = nullptr;
  plx_model* model_ = nullptr;
  plx_plan* plan_ = nullptr;
  plx_session* session_ = nullptr;
  std::vector<std::string> names_;
  size_t outputs_ = 0;
};

}  // namespace

std::unique_ptr<Engine> parallax(const Options& options) { return std::make_unique<Parallax>(options); }

}  // namespace plx::run
