#include "plx/device/part_session.h"

#include "plx/graph/writer.h"
#include "plx/ort/session.h"
#include "plx/ort/tensor.h"

namespace plx::device {

Result<PartSession> PartSession::make(const std::shared_ptr<ort::Runtime>& runtime, const Part& part,
                                      GraphOptimizationLevel level, const std::string& name) {
  PartSession made;
  made.runtime_ = runtime;
  made.name_ = name;
  for (const auto& [values, ports] : {std::pair{part.inputs, &made.inputs_}, {part.outputs, &made.outputs_}}) {
    for (const graph::ValueId value : values) {
      const std::string& called = part.graph->values[static_cast<size_t>(value)].name;
      const auto& shape = (*part.shapes)[static_cast<size_t>(value)];
      const auto bytes = shape ? graph::tensor_bytes(shape->element, shape->dims) : std::nullopt;
      if (!bytes) return fail(Code::kUnsupported, name, ": '", called, "' is of no fixed size");
      ports->push_back({called, *shape, *bytes});
    }
  }
  const graph::Part written = graph::write_part(*part.graph, part.nodes, part.inputs, part.outputs, {});
  const ort::ModelSettings settings;
  ort::SessionSpec spec;
  spec.settings = &settings;
  spec.level = level;
  spec.pool = false;
  spec.source.name = name;
  spec.source.bytes = written.bytes;
  auto session = ort::make_session(runtime, spec);
  if (!session) return session.error();
  made.session_ = session.take();
  return made;
}

Status PartSession::run(std::span<const std::byte* const> from, std::span<std::byte* const> to) {
  std::vector<ort::Value> owners;
  std::vector<const OrtValue*> given;
  std::vector<OrtValue*> made;
  std::vector<const char*> given_names;
  std::vector<const char*> made_names;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    // ONNX Runtime takes mutable pointers and writes to no input.
    auto value = ort::tensor_over(runtime_, const_cast<std::byte*>(from[i]), inputs_[i].shape.element, inputs_[i].shape.dims);
    if (!value) return value.error();
    given.push_back(value->get());
    given_names.push_back(inputs_[i].name.c_str());
    owners.push_back(value.take());
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    auto value = ort::tensor_over(runtime_, to[i], outputs_[i].shape.element, outputs_[i].shape.dims);
    if (!value) return value.error();
    made.push_back(value->get());
    made_names.push_back(outputs_[i].name.c_str());
    owners.push_back(value.take());
  }
  return runtime_->check(runtime_->api().Run(session_.get(), nullptr, given_names.data(), given.data(), given.size(),
                                             made_names.data(), made.size(), made.data()), name_);
}

}  // namespace plx::device
