#include "plx/device/one_operator.h"

#include <cstring>
#include <string>
#include <utility>

namespace plx::device {

Result<std::unique_ptr<OneOperator>> OneOperator::make(Device& device, const char* op, std::vector<Operand> operands, std::vector<int64_t> output) {
  std::unique_ptr<OneOperator> made(new OneOperator);
  made->operands_ = std::move(operands);
  graph::Graph& graph = made->graph_;
  graph.opsets = {{"", 17}};
  graph::Node node;
  node.op_type = op;
  std::vector<graph::ValueId> inputs;
  for (const Operand& operand : made->operands_) {
    const auto id = static_cast<graph::ValueId>(graph.values.size());
    graph::Value value;
    value.name = "in" + std::to_string(id);
    node.inputs.push_back(id);
    made->shapes_.push_back(graph::Shape{graph::ElementType::kFloat32, operand.dims});
    const uint64_t bytes = operand.values.size() * sizeof(float);
    if (operand.constant) {
      value.initializer = static_cast<int32_t>(graph.initializers.size());
      graph::Initializer constant;
      constant.element = graph::ElementType::kFloat32;
      constant.dims = operand.dims;
      constant.size_bytes = bytes;
      constant.data = reinterpret_cast<const std::byte*>(operand.values.data());
      graph.initializers.push_back(std::move(constant));
      made->memory_.push_back(nullptr);
    } else {
      auto memory = device.lend(bytes, Use::kInTurn);
      if (!memory) return memory.error();
      made->memory_.push_back(memory.take());
      made->inputs_.push_back(made->memory_.back()->data());
      inputs.push_back(id);
    }
    graph.values.push_back(std::move(value));
  }
  const auto out = static_cast<graph::ValueId>(graph.values.size());
  graph::Value value;
  value.name = "out";
  value.producer = 0;
  value.is_output = true;
  graph.values.push_back(std::move(value));
  node.outputs = {out};
  graph.nodes.push_back(std::move(node));
  made->outputs_ = 1;
  for (const int64_t dim : output) made->outputs_ *= static_cast<size_t>(dim);
  made->shapes_.push_back(graph::Shape{graph::ElementType::kFloat32, std::move(output)});
  auto memory = device.lend(made->outputs_ * sizeof(float), Use::kInTurn);
  if (!memory) return memory.error();
  made->memory_.push_back(memory.take());
  for (size_t i = 0; i < made->operands_.size(); ++i) {
    if (!made->operands_[i].constant) made->set(i, made->operands_[i].values);
  }
  const graph::NodeId nodes[] = {0};
  const graph::ValueId outputs[] = {out};
  auto program = device.prepare({&graph, &made->shapes_, nodes, inputs, outputs});
  if (!program) return program.error();
  made->program_ = program.take();
  return made;
}

void OneOperator::set(size_t operand, std::span<const float> values) {
  std::memcpy(memory_[operand]->data(), values.data(), values.size_bytes());
}

Result<double> OneOperator::run() {
  std::byte* const out[] = {memory_.back()->data()};
  there_ = false;
  program_->submit(inputs_, out, *this);
  std::unique_lock lock(mutex_);
  came_.wait(lock, [&] { return there_; });
  if (!outcome_.status) return outcome_.status.error();
  return static_cast<double>(outcome_.device_ns) * 1e-9;
}

std::span<const float> OneOperator::output() const { return {reinterpret_cast<const float*>(memory_.back()->data()), outputs_}; }

void OneOperator::done(Outcome outcome) noexcept {
  const std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  there_ = true;
  came_.notify_all();
}

}  // namespace plx::device
