#include "plx/engine/calibration_models.h"

#include <cmath>
#include <protozero/pbf_writer.hpp>
#include <vector>

#include "plx/graph/onnx_fields.h"

namespace plx::engine {

namespace {

namespace onnx = graph::onnx;
using Dims = std::vector<int64_t>;
using protozero::pbf_writer;

constexpr int32_t kFloat = 1;  // TensorProto.DataType
constexpr int32_t kInts = 7;   // AttributeProto.AttributeType
constexpr int32_t kInt = 2;

// A chain of operators from x to y, all tensors of one shape.
class Chain {
 public:
  explicit Chain(Dims shape) : shape_(std::move(shape)) {}

  // One more operator on the last one's output, with a weight if one is given; its output has `parts` names.
  Chain& then(const char* op, const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
              const std::vector<std::pair<const char*, Dims>>& ints = {}, int64_t axis = kNoAxis) {
    pbf_writer graph(graph_);
    pbf_writer node(graph, onnx::GraphProto::kNode);
    for (const std::string& input : inputs) node.add_string(onnx::NodeProto::kInput, input);
    for (const std::string& output : outputs) node.add_string(onnx::NodeProto::kOutput, output);
    node.add_string(onnx::NodeProto::kOpType, op);
    for (const auto& [name, values] : ints) {
      pbf_writer attribute(node, onnx::NodeProto::kAttribute);
      attribute.add_string(onnx::Attribute::kName, name);
      attribute.add_packed_int64(onnx::Attribute::kInts, values.begin(), values.end());
      attribute.add_enum(onnx::Attribute::kType, kInts);
    }
    if (axis != kNoAxis) {
      pbf_writer attribute(node, onnx::NodeProto::kAttribute);
      attribute.add_string(onnx::Attribute::kName, "axis");
      attribute.add_int64(onnx::Attribute::kI, axis);
      attribute.add_enum(onnx::Attribute::kType, kInt);
    }
    return *this;
  }
  // x, v1, v2, ...: the value after so many blocks.
  static std::string value(int block) { return block == 0 ? "x" : "v" + std::to_string(block); }

  // Numbers of both signs whose sums over `summed` of them stay about as large as what they are multiplied with.
  std::string weight(const Dims& dims, double summed) {
    std::string name = "w" + std::to_string(weights_++);
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    std::vector<float> values(static_cast<size_t>(count));
    const float scale = static_cast<float>(1.7 / std::sqrt(summed));
    uint32_t state = 12345;
    for (float& one : values) {
      state = state * 1664525u + 1013904223u;
      one = scale * (static_cast<float>(state >> 8) / 8388608.f - 1.f);
    }
    pbf_writer graph(graph_);
    pbf_writer tensor(graph, onnx::GraphProto::kInitializer);
    tensor.add_packed_int64(onnx::TensorProto::kDims, dims.begin(), dims.end());
    tensor.add_int32(onnx::TensorProto::kDataType, kFloat);
    tensor.add_string(onnx::TensorProto::kName, name);
    tensor.add_bytes(onnx::TensorProto::kRawData, reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    return name;
  }

  std::string bytes(int blocks) {
    {
      pbf_writer graph(graph_);
      graph.add_string(onnx::GraphProto::kName, "calibration");
      declare(graph, onnx::GraphProto::kInput, "x");
      declare(graph, onnx::GraphProto::kOutput, value(blocks));
    }
    std::string model;
    pbf_writer out(model);
    out.add_int64(onnx::Model::kIrVersion, 8);
    out.add_message(onnx::Model::kGraph, graph_);
    pbf_writer opset(out, onnx::Model::kOpsetImport);
    opset.add_string(onnx::OpsetId::kDomain, "");
    opset.add_int64(onnx::OpsetId::kVersion, 17);
    opset.commit();
    return model;
  }

 private:
  static constexpr int64_t kNoAxis = INT64_MIN;

  void declare(pbf_writer& graph, uint32_t tag, const std::string& name) const {
    pbf_writer info(graph, tag);
    info.add_string(onnx::ValueInfo::kName, name);
    pbf_writer type(info, onnx::ValueInfo::kType);
    pbf_writer tensor(type, onnx::TypeProto::kTensor);
    tensor.add_int32(onnx::TensorType::kElemType, kFloat);
    pbf_writer dims(tensor, onnx::TensorType::kShape);
    for (const int64_t size : shape_) {
      pbf_writer dim(dims, onnx::ShapeProto::kDim);
      dim.add_int64(onnx::Dimension::kValue, size);
    }
  }

  Dims shape_;
  std::string graph_;
  int weights_ = 0;
};

}  // namespace

std::string calibration_model(partition::OperatorClass c, int depth) {
  using partition::OperatorClass;
  const auto chain = [depth](Dims shape, auto block) {
    Chain made(std::move(shape));
    for (int i = 0; i < depth; ++i) block(made, Chain::value(i), Chain::value(i + 1), "i" + std::to_string(i));
    return made.bytes(depth);
  };
  switch (c) {
    case OperatorClass::kConvolution:  // 116 million MACs, as in the middle of yolov8n and ResNets
      return chain({1, 64, 56, 56}, [](Chain& m, const std::string& in, const std::string& out, const std::string&) {
        m.then("Conv", {in, m.weight({64, 64, 3, 3}, 576)}, {out}, {{"kernel_shape", {3, 3}}, {"pads", {1, 1, 1, 1}}});
      });
    case OperatorClass::kProduct:  // 67 million MACs: a transformer's projection of 256 tokens
      return chain({256, 512}, [](Chain& m, const std::string& in, const std::string& out, const std::string&) {
        m.then("MatMul", {in, m.weight({512, 512}, 512)}, {out});
      });
    case OperatorClass::kThin:  // a decoder's projection of one token
      return chain({1, 1024}, [](Chain& m, const std::string& in, const std::string& out, const std::string&) {
        m.then("MatMul", {in, m.weight({1024, 1024}, 1024)}, {out});
      });
    case OperatorClass::kElementWise:
      return chain({1, 1 << 20}, [](Chain& m, const std::string& in, const std::string& out, const std::string& inner) {
        m.then("Sigmoid", {in}, {inner}).then("Mul", {in, inner}, {out});
      });
    case OperatorClass::kRows:
      return chain({512, 1024}, [](Chain& m, const std::string& in, const std::string& out, const std::string& inner) {
        m.then("Softmax", {in}, {inner}, {}, -1)
            .then("LayerNormalization", {inner, m.weight({1024}, 3)}, {out}, {}, -1);
      });
    case OperatorClass::kMovement:
      return chain({512, 1024}, [](Chain& m, const std::string& in, const std::string& out, const std::string& inner) {
        m.then("Split", {in}, {inner + "a", inner + "b"}, {}, 1).then("Concat", {inner + "b", inner + "a"}, {out}, {}, 1);
      });
  }
  return {};
}

std::string launches_model(int depth) {
  Chain chain({1, 16});
  for (int i = 0; i < depth; ++i) chain.then(i % 2 == 0 ? "Sigmoid" : "Tanh", {Chain::value(i)}, {Chain::value(i + 1)});
  return chain.bytes(depth);
}

}  // namespace plx::engine
