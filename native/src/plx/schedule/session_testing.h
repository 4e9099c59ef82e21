// For tests: models cut every way, run, and compared with plain ONNX Runtime bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "plx/engine/model.h"
#include "plx/ort/plain_testing.h"
#include "plx/partition/plan.h"
#include "plx/schedule/session.h"

namespace plx::schedule::testing {

using ort::testing::Tensor;
using ort::testing::Tensors;
using partition::Units;
inline constexpr Units kAllUnits[] = {Units::kWhole, Units::kLayers, Units::kBranches, Units::kNodes};

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return result.take();
}
inline void must(Status status) {
  if (!status) throw std::runtime_error(status.error().message);
}

// A model in memory, which stays there as long as the object.
class Loaded {
 public:
  explicit Loaded(std::string bytes, ort::ModelSettings settings = {})
      : bytes_(std::make_unique<std::string>(std::move(bytes))) {
    model_ = must(engine::Model::load_memory(ort::testing::runtime(), *bytes_, "", std::move(settings)));
  }
  engine::Model& operator*() { return *model_; }
  engine::Model* operator->() { return model_.get(); }
  std::shared_ptr<engine::PlanHandle> plan(Units units) {
    engine::PlanRequest request;
    request.options.units = units;
    return must(model_->make_plan(request));
  }
  std::unique_ptr<Session> session(Units units, int threads = 0) {
    return must(model_->make_session(plan(units), threads));
  }
  const std::string& bytes() const { return *bytes_; }

 private:
  std::unique_ptr<std::string> bytes_;
  std::shared_ptr<engine::Model> model_;
};

inline TensorView view_of(const Tensor& tensor) {
  return {tensor.element, tensor.dims, const_cast<char*>(tensor.bytes.data()), tensor.bytes.size()};
}

// The session reads the tensor where it lies, so a temporary will not do.
inline Status bind(Session& session, size_t index, const Tensor& input) {
  if (input.element != graph::ElementType::kString) return session.bind_input(index, view_of(input));
  std::string bytes;
  std::vector<size_t> offsets;
  for (const std::string& text : input.strings) {
    offsets.push_back(bytes.size());
    bytes += text;
  }
  return session.bind_input_strings(index, input.dims, bytes, offsets.data());
}
Status bind(Session& session, size_t index, Tensor&& input) = delete;
inline void bind_all(Session& session, const Tensors& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) must(bind(session, i, inputs[i]));
}
void bind_all(Session& session, Tensors&& inputs) = delete;

inline Tensor read_output(Session& session, size_t index) {
  const TensorView view = must(session.output(index));
  Tensor tensor{.element = view.element, .dims = {view.dims.begin(), view.dims.end()}, .bytes = {}, .strings = {}};
  if (view.element == graph::ElementType::kString) tensor.strings = must(session.output_strings(index));
  else tensor.bytes.assign(static_cast<const char*>(view.data), view.size_bytes);
  return tensor;
}
inline Tensors outputs(Session& session, size_t count) {
  Tensors results;
  for (size_t i = 0; i < count; ++i) results.push_back(read_output(session, i));
  return results;
}

inline nlohmann::json report(const Session& session) { return nlohmann::json::parse(session.report_json()); }

// Runs every set of inputs three times in each cut and width (the first run of a shape lets ONNX Runtime allocate, the
// later ones use planned memory) and then all sets in turn once more.
inline void expect_plain_results(const std::string& model, const std::vector<Tensors>& runs) {
  ort::testing::Plain plain(ort::testing::runtime(), model);
  std::vector<Tensors> expected;
  for (const Tensors& inputs : runs) expected.push_back(plain.run(inputs));
  Loaded loaded(model);
  for (const Units units : kAllUnits) {
    for (const int threads : {0, 1}) {
      SCOPED_TRACE(std::string("units ") + partition::units_name(units) + ", threads " + std::to_string(threads));
      const auto session = loaded.session(units, threads);
      for (size_t i = 0; i < runs.size(); ++i) {
        bind_all(*session, runs[i]);
        for (int repeat = 0; repeat < 3; ++repeat) {
          must(session->run());
          EXPECT_EQ(outputs(*session, expected[i].size()), expected[i]) << "inputs " << i << ", run " << repeat;
        }
      }
      for (size_t i = 0; i < runs.size(); ++i) {
        bind_all(*session, runs[i]);
        must(session->run());
        EXPECT_EQ(outputs(*session, expected[i].size()), expected[i]) << "inputs " << i << " again";
      }
    }
  }
}

}  // namespace plx::schedule::testing
