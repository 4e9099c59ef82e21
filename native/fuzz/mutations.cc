#include "mutations.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "onnx_tree.h"
#include "plx/graph/onnx_fields.h"

namespace plx::fuzz {

namespace {

namespace onnx = graph::onnx;
using Dims = std::vector<int64_t>;
using GP = onnx::GraphProto;
using NP = onnx::NodeProto;
using AP = onnx::Attribute;
using TP = onnx::TensorProto;
using VI = onnx::ValueInfo;

constexpr int64_t kInt64 = 7;  // TensorProto.DataType
// AttributeProto.AttributeType
constexpr int64_t kIntAttribute = 2, kGraphAttribute = 5, kIntsAttribute = 7;

// Operators a node may turn into: most of those that models use, and some that few do.
constexpr const char* kOperators[] = {
    "Abs", "Add", "And", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Compress",
    "Concat", "ConcatFromSequence", "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "CumSum",
    "DepthToSpace", "DequantizeLinear", "Div", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike",
    "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool",
    "Greater", "GridSample", "GroupNormalization", "Hardmax", "Identity", "If", "InstanceNormalization", "IsNaN",
    "LSTM", "LayerNormalization", "LeakyRelu", "Less", "Log", "LogSoftmax", "Loop", "LpNormalization", "MatMul",
    "MatMulInteger", "Max", "MaxPool", "Mean", "Min", "Mod", "Mul", "Neg", "NonMaxSuppression", "NonZero", "Not",
    "OneHot", "Optional", "OptionalGetElement", "PRelu", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal",
    "ReduceMax", "ReduceMean", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Resize", "ReverseSequence",
    "RoiAlign", "Round", "Scan", "ScatterElements", "ScatterND", "SequenceAt", "SequenceConstruct",
    "SequenceInsert", "SequenceLength", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax",
    "SpaceToDepth", "Split", "SplitToSequence", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK",
    "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample", "Where", "Xor",
};

// A node's name or, without one, what it makes.
std::string called(const Field& node) {
  std::string name = text_of(node, NP::kName);
  if (name.empty()) name = text_of(node, NP::kOutput);
  return text_of(node, NP::kOpType) + " '" + name + "'";
}

std::vector<std::string> texts(Field& message, uint32_t tag) {
  std::vector<std::string> list;
  for (const Field* field : all(message, tag)) list.push_back(field->bytes);
  return list;
}

class Mutator {
 public:
  Mutator(Field& model, uint32_t seed) : random_(seed), model_(model) {}

  std::string run() {
    static constexpr bool (Mutator::*kSteps[])() = {
        &Mutator::swap_inputs,
        &Mutator::other_input,
        &Mutator::other_input,
        &Mutator::drop_or_add_input,
        &Mutator::attribute_value,
        &Mutator::attribute_value,
        &Mutator::attribute_value,
        &Mutator::attribute_list,
        &Mutator::attribute_list,
        &Mutator::drop_attribute,
        &Mutator::attribute_kind,
        &Mutator::add_attribute,
        &Mutator::other_operator,
        &Mutator::other_operator,
        &Mutator::other_domain,
        &Mutator::delete_node,
        &Mutator::delete_node,
        &Mutator::duplicate_node,
        &Mutator::move_node,
        &Mutator::rename,
        &Mutator::rename,
        &Mutator::opset,
        &Mutator::opset,
        &Mutator::ir_version,
        &Mutator::tensor_dims,
        &Mutator::tensor_dims,
        &Mutator::tensor_type,
        &Mutator::tensor_values,
        &Mutator::tensor_values,
        &Mutator::tensor_values,
        &Mutator::tensor_fields,
        &Mutator::drop_field,
        &Mutator::input_type,
        &Mutator::input_type,
        &Mutator::graph_inputs,
        &Mutator::cut_output,
        &Mutator::cut_output,
        &Mutator::output_list,
        &Mutator::output_type,
        &Mutator::nest,
        &Mutator::nest,
        &Mutator::insert,
        &Mutator::insert,
        &Mutator::value_info,
        &Mutator::node_outputs,
        &Mutator::into_function,
        &Mutator::shadow,
        &Mutator::copy_part,
    };
    // Mostly one, so that many mutants are models still; now and then none.
    const size_t draw = below(30);
    const size_t steps = draw == 0 ? 0 : draw < 20 ? 1 : draw < 26 ? 2 : 3;
    for (size_t done = 0, tries = 0; done < steps && tries < 40; ++tries) {
      if ((this->*kSteps[below(std::size(kSteps))])()) ++done;
    }
    return what_;
  }

 private:
  // ---- chance ----
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  bool one_in(size_t n) { return below(n) == 0; }
  template <class List>
  auto& any(List& list) {
    return list[below(std::size(list))];
  }
  // Mostly small, now and then at the edge of a type.
  int64_t number() {
    static constexpr int64_t kEdges[] = {std::numeric_limits<int64_t>::max(),
                                         std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int32_t>::max(),
                                         std::numeric_limits<int32_t>::min(),
                                         int64_t{1} << 32,
                                         int64_t{1} << 40,
                                         int64_t{1} << 62,
                                         65536,
                                         4096,
                                         127,
                                         -128};
    return one_in(4) ? any(kEdges) : static_cast<int64_t>(below(14)) - 4;
  }
  static int64_t plus_one(int64_t n) { return static_cast<int64_t>(static_cast<uint64_t>(n) + 1); }
  std::string fresh() { return "mutated/" + std::to_string(serial_++); }
  bool did(const std::string& text) {
    what_ += (what_.empty() ? "" : "; ") + text;
    return true;
  }

  // ---- what there is ----
  void collect_graphs(Field& message, std::vector<Field*>& graphs) {
    for (Field& field : message.fields) {
      if (field.kind == Kind::kGraph) graphs.push_back(&field);
      if (!field.fields.empty()) collect_graphs(field, graphs);
    }
  }
  std::vector<Field*> graphs() {
    std::vector<Field*> list;
    collect_graphs(model_, list);
    return list;
  }
  // Mostly the model's own graph, else a body; null if there is none.
  Field* graph() {
    const auto list = graphs();
    return list.empty() ? nullptr : one_in(3) ? list[below(list.size())] : list[0];
  }
  Field* node(Field*& of) {
    of = graph();
    if (of == nullptr) return nullptr;
    const auto nodes = all(*of, GP::kNode);
    return nodes.empty() ? nullptr : nodes[below(nodes.size())];
  }
  Field* node() {
    Field* of = nullptr;
    return node(of);
  }
  Field* attribute(Field*& of) {
    for (int tries = 0; tries < 10; ++tries) {
      of = node();
      if (of == nullptr) continue;
      const auto attributes = all(*of, NP::kAttribute);
      if (!attributes.empty()) return attributes[below(attributes.size())];
    }
    return nullptr;
  }
  // Names made in a graph.
  static std::vector<std::string> names(Field& graph) {
    std::vector<std::string> list;
    for (Field* input : all(graph, GP::kInput)) list.push_back(text_of(*input, VI::kName));
    for (Field* tensor : all(graph, GP::kInitializer)) list.push_back(text_of(*tensor, TP::kName));
    for (Field* node : all(graph, GP::kNode)) {
      for (std::string& name : texts(*node, NP::kOutput)) list.push_back(std::move(name));
    }
    std::erase(list, "");
    return list;
  }
  // An initializer or a tensor in an attribute.
  Field* tensor() {
    Field* of = graph();
    if (of == nullptr) return nullptr;
    auto tensors = all(*of, GP::kInitializer);
    for (Field* node : all(*of, GP::kNode)) {
      for (Field* attribute : all(*node, NP::kAttribute)) {
        for (Field* tensor : all(*attribute, AP::kT)) {
          if (tensor->kind == Kind::kTensor) tensors.push_back(tensor);
        }
      }
    }
    return tensors.empty() ? nullptr : tensors[below(tensors.size())];
  }

  static Field attribute_of(const std::string& name, int64_t kind, Field value) {
    return message_field(NP::kAttribute, Kind::kAttribute,
                         {text_field(AP::kName, name), std::move(value), number_field(AP::kType, kind)});
  }
  static Field node_of(const std::string& op, const std::vector<std::string>& inputs,
                       const std::vector<std::string>& outputs) {
    Field made = message_field(GP::kNode, Kind::kNode, {});
    for (const std::string& name : inputs) made.fields.push_back(text_field(NP::kInput, name));
    for (const std::string& name : outputs) made.fields.push_back(text_field(NP::kOutput, name));
    made.fields.push_back(text_field(NP::kName, op + "_" + (outputs.empty() ? "" : outputs[0])));
    made.fields.push_back(text_field(NP::kOpType, op));
    return made;
  }
  static Field value_of(uint32_t tag, const std::string& name) {
    return message_field(tag, Kind::kValueInfo, {text_field(VI::kName, name)});
  }
  static Field tensor_type(int64_t element, const Dims* dims) {
    std::vector<Field> fields = {number_field(onnx::TensorType::kElemType, element)};
    if (dims != nullptr) {
      Field shape = message_field(onnx::TensorType::kShape, Kind::kShape, {});
      for (const int64_t dim : *dims) {
        shape.fields.push_back(
            message_field(onnx::ShapeProto::kDim, Kind::kDim, {number_field(onnx::Dimension::kValue, dim)}));
      }
      fields.push_back(std::move(shape));
    }
    return message_field(VI::kType, Kind::kType,
                         {message_field(onnx::TypeProto::kTensor, Kind::kTensorType, std::move(fields))});
  }
  static void rename_in(Field& message, const std::string& from, const std::string& to) {
    for (Field& field : message.fields) {
      if (field.kind == Kind::kLeaf && field.wire == protozero::pbf_wire_type::length_delimited &&
          field.bytes == from) {
        const bool is_name = (message.kind == Kind::kNode && (field.tag == NP::kInput || field.tag == NP::kOutput)) ||
                             (message.kind == Kind::kValueInfo && field.tag == VI::kName) ||
                             (message.kind == Kind::kTensor && field.tag == TP::kName);
        if (is_name) field.bytes = to;
      }
      rename_in(field, from, to);
    }
  }

  // ---- edges ----
  bool swap_inputs() {
    Field* n = node();
    if (n == nullptr) return false;
    const auto inputs = all(*n, NP::kInput);
    if (inputs.size() < 2) return false;
    const size_t a = below(inputs.size());
    const size_t b = (a + 1 + below(inputs.size() - 1)) % inputs.size();
    std::swap(inputs[a]->bytes, inputs[b]->bytes);
    return did("inputs " + std::to_string(a) + " and " + std::to_string(b) + " of " + called(*n) + " swapped");
  }
  bool other_input() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    const auto inputs = all(*n, NP::kInput);
    const auto made = names(*of);
    if (inputs.empty() || made.empty()) return false;
    const size_t at = below(inputs.size());
    inputs[at]->bytes = made[below(made.size())];
    return did("input " + std::to_string(at) + " of " + called(*n) + " is '" + inputs[at]->bytes + "'");
  }
  bool drop_or_add_input() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    const auto inputs = all(*n, NP::kInput);
    if (!inputs.empty() && one_in(2)) {
      Field* gone = inputs[below(inputs.size())];
      if (one_in(2))
        gone->bytes.clear();
      else
        n->fields.erase(n->fields.begin() + (gone - n->fields.data()));
      return did("an input of " + called(*n) + " left out");
    }
    const auto made = names(*of);
    n->fields.push_back(text_field(NP::kInput, made.empty() || one_in(4) ? "" : made[below(made.size())]));
    return did("a further input of " + called(*n));
  }

  // ---- attributes ----
  bool attribute_value() {
    Field* n = nullptr;
    Field* a = attribute(n);
    if (a == nullptr) return false;
    const std::string where = "attribute '" + text_of(*a, AP::kName) + "' of " + called(*n);
    for (Field& field : a->fields) {
      if (field.tag == AP::kI && field.wire == onnx::kVarint) {
        field.number = one_in(3) ? field.number + 1 : static_cast<uint64_t>(number());
        return did(where + " is " + std::to_string(static_cast<int64_t>(field.number)));
      }
      if (field.tag == AP::kF && field.wire == onnx::kFixed32) {
        static constexpr float kFloats[] = {0.f,
                                            -1.f,
                                            1.f,
                                            1e-30f,
                                            1e38f,
                                            -1e38f,
                                            std::numeric_limits<float>::infinity(),
                                            std::numeric_limits<float>::quiet_NaN(),
                                            0.5f};
        const float value = any(kFloats);
        uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        field.number = bits;
        return did(where + " is " + std::to_string(value));
      }
      if (field.tag == AP::kS && field.wire == onnx::kBytes) {
        static constexpr const char* kTexts[] = {"",       "NOTSET",   "VALID",   "SAME_UPPER",    "SAME_LOWER",
                                                 "linear", "nearest",  "cubic",   "reflect",       "edge",
                                                 "wrap",   "constant", "forward", "bidirectional", "i,j->ij",
                                                 "ij,jk",  "...i,i",   "max",     "\x01\xff"};
        field.bytes = any(kTexts);
        return did(where + " is '" + field.bytes + "'");
      }
    }
    return false;
  }
  bool attribute_list() {
    Field* n = nullptr;
    for (int tries = 0; tries < 10; ++tries) {
      Field* a = attribute(n);
      if (a == nullptr) return false;
      Dims values = ints(*a, AP::kInts);
      if (values.empty() && number_of(*a, AP::kType) != kIntsAttribute) continue;
      switch (below(4)) {
        case 0: values.push_back(number()); break;
        case 1:
          if (!values.empty()) values.erase(values.begin() + static_cast<std::ptrdiff_t>(below(values.size())));
          break;
        case 2: std::shuffle(values.begin(), values.end(), random_); break;
        default:
          if (!values.empty()) any(values) = number();
      }
      set_ints(*a, AP::kInts, values);
      std::string text;
      for (const int64_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
      return did("attribute '" + text_of(*a, AP::kName) + "' of " + called(*n) + " is [" + text + "]");
    }
    return false;
  }
  bool drop_attribute() {
    Field* n = nullptr;
    Field* a = attribute(n);
    if (a == nullptr) return false;
    const std::string name = text_of(*a, AP::kName);
    if (one_in(3)) {
      n->fields.push_back(Field(*a));
      return did("attribute '" + name + "' of " + called(*n) + " twice");
    }
    if (one_in(4)) {
      set(*a, text_field(AP::kName, one_in(2) ? "" : "axis"));
      return did("attribute '" + name + "' of " + called(*n) + " renamed");
    }
    n->fields.erase(n->fields.begin() + (a - n->fields.data()));
    return did("attribute '" + name + "' of " + called(*n) + " gone");
  }
  bool attribute_kind() {
    Field* n = nullptr;
    Field* a = attribute(n);
    if (a == nullptr) return false;
    const auto kind = static_cast<int64_t>(below(16));
    if (one_in(5))
      erase(*a, AP::kType);
    else
      set(*a, number_field(AP::kType, kind));
    return did("attribute '" + text_of(*a, AP::kName) + "' of " + called(*n) + " says it is of kind " +
               std::to_string(kind));
  }
  bool add_attribute() {
    Field* n = node();
    if (n == nullptr) return false;
    static constexpr const char* kNames[] = {"axis",        "axes", "to",           "keepdims", "perm",        "group",
                                             "strides",     "pads", "allowzero",    "transB",   "num_outputs", "value",
                                             "then_branch", "body", "kernel_shape", "dilations"};
    const std::string name = any(kNames);
    Field value = one_in(2) ? number_field(AP::kInts, number()) : number_field(AP::kI, number());
    n->fields.push_back(attribute_of(name, value.tag == AP::kI ? kIntAttribute : kIntsAttribute, std::move(value)));
    return did("attribute '" + name + "' added to " + called(*n));
  }

  // ---- nodes ----
  bool other_operator() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    std::string op = any(kOperators);
    if (one_in(3)) {
      const auto nodes = all(*of, GP::kNode);
      op = text_of(*nodes[below(nodes.size())], NP::kOpType);
    }
    const std::string was = called(*n);
    set(*n, text_field(NP::kOpType, op));
    return did(was + " is a " + op);
  }
  bool other_domain() {
    Field* n = node();
    if (n == nullptr) return false;
    static constexpr const char* kDomains[] = {"com.microsoft",       "ai.onnx.ml",       "nowhere", "ai.onnx",
                                               "com.microsoft.nchwc", "ai.onnx.training", "\xff"};
    const std::string domain = any(kDomains);
    set(*n, text_field(NP::kDomain, domain));
    if (one_in(2)) {
      model_.fields.push_back(
          message_field(onnx::Model::kOpsetImport, Kind::kOpset,
                        {text_field(onnx::OpsetId::kDomain, domain), number_field(onnx::OpsetId::kVersion, 1)}));
    }
    return did(called(*n) + " is of '" + domain + "'");
  }
  bool delete_node() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    const std::string was = called(*n);
    const auto inputs = texts(*n, NP::kInput);
    const auto outputs = texts(*n, NP::kOutput);
    of->fields.erase(of->fields.begin() + (n - of->fields.data()));
    if (inputs.empty() || outputs.empty() || one_in(4)) return did(was + " deleted");
    for (Field* reader : all(*of, GP::kNode)) {
      for (Field* input : all(*reader, NP::kInput)) {
        if (input->bytes == outputs[0]) input->bytes = inputs[0];
      }
    }
    return did(was + " bypassed");
  }
  bool duplicate_node() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    Field copy = *n;
    const std::string was = called(copy);
    const bool same = one_in(5);
    for (Field& field : copy.fields) {
      if (field.tag == NP::kOutput && !same) field.bytes = fresh();
    }
    of->fields.insert(of->fields.begin() + (n - of->fields.data()) + 1, std::move(copy));
    return did(was + (same ? " twice" : " copied"));
  }
  bool move_node() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto nodes = all(*of, GP::kNode);
    if (nodes.size() < 2) return false;
    if (one_in(4)) {
      for (size_t i = 0; i < nodes.size() / 2; ++i) std::swap(*nodes[i], *nodes[nodes.size() - 1 - i]);
      return did("nodes in reverse order");
    }
    const size_t a = below(nodes.size());
    const size_t b = below(nodes.size());
    std::swap(*nodes[a], *nodes[b]);
    return did("nodes " + std::to_string(a) + " and " + std::to_string(b) + " change places");
  }
  bool node_outputs() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    const auto outputs = all(*n, NP::kOutput);
    if (outputs.empty()) return false;
    const std::string was = called(*n);
    switch (below(4)) {
      case 0: n->fields.push_back(text_field(NP::kOutput, fresh())); return did("a further output of " + was);
      case 1: outputs[below(outputs.size())]->bytes.clear(); return did("an output of " + was + " left out");
      case 2: {
        const auto made = names(*of);
        outputs[0]->bytes = made.empty() ? "" : made[below(made.size())];
        return did(was + " makes '" + outputs[0]->bytes + "'");
      }
      default:
        if (outputs.size() < 2) return false;
        std::swap(outputs[0]->bytes, outputs[1]->bytes);
        return did("outputs of " + was + " swapped");
    }
  }
  // A node between a value and its readers.
  bool insert() {
    Field* of = nullptr;
    Field* n = node(of);
    if (n == nullptr) return false;
    const auto inputs = all(*n, NP::kInput);
    if (inputs.empty()) return false;
    Field* input = inputs[below(inputs.size())];
    const std::string from = input->bytes;
    if (from.empty()) return false;
    const std::string to = fresh();
    input->bytes = to;
    static constexpr const char* kOps[] = {"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Flatten",
                                           "Reshape",  "Neg",  "Shape",     "NonZero",   "Dropout"};
    const std::string op = any(kOps);
    Field made = node_of(op, {from}, {to});
    if (op == "Cast")
      made.fields.push_back(
          attribute_of("to", kIntAttribute, number_field(AP::kI, 1 + static_cast<int64_t>(below(22)))));
    if (op == "Unsqueeze" || op == "Squeeze" || op == "Reshape") {
      const std::string operand = fresh();
      made.fields.insert(made.fields.begin() + 1, text_field(NP::kInput, operand));
      Dims target = {op == "Reshape" ? -1 : static_cast<int64_t>(below(3)) - 1};
      Field tensor = message_field(
          GP::kInitializer, Kind::kTensor,
          {number_field(TP::kDims, 1), number_field(TP::kDataType, kInt64), text_field(TP::kName, operand)});
      set_ints(tensor, TP::kInt64Data, target);
      of->fields.insert(of->fields.begin() + (n - of->fields.data()), std::move(made));
      of->fields.push_back(std::move(tensor));
    } else {
      of->fields.insert(of->fields.begin() + (n - of->fields.data()), std::move(made));
    }
    return did(op + " put behind '" + from + "'");
  }

  // ---- names ----
  bool rename() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto made = names(*of);
    if (made.empty()) return false;
    const std::string from = made[below(made.size())];
    static constexpr const char* kNames[] = {" ", "\n", "\x1b[2J",         "a/../b", "\xff\xfe",
                                             "0", "x",  "parallax.rank.x", "Ünïcode"};
    std::string to = any(kNames);
    if (one_in(3)) to = made[below(made.size())];
    if (one_in(8)) to = std::string(5000, 'n');
    if (one_in(3)) {
      Field* n = node();
      if (n == nullptr) return false;
      rename_in(*n, from, to);
      return did("'" + from + "' renamed in one place");
    }
    // Bodies read outer names, so the whole model is gone through.
    rename_in(model_, from, to);
    return did("'" + from + "' renamed to '" + to.substr(0, 40) + "'");
  }
  // A name of the outer graph is defined in a body too.
  bool shadow() {
    const auto list = graphs();
    if (list.size() < 2) return false;
    Field* body = list[1 + below(list.size() - 1)];
    const auto inner = names(*body);
    const auto outer = names(*list[0]);
    if (inner.empty() || outer.empty()) return false;
    const std::string from = inner[below(inner.size())];
    const std::string to = outer[below(outer.size())];
    rename_in(*body, from, to);
    return did("'" + from + "' of a body is called '" + to + "'");
  }

  // ---- versions ----
  bool opset() {
    const auto imports = all(model_, onnx::Model::kOpsetImport);
    if (imports.empty()) return false;
    Field* import = imports[below(imports.size())];
    const std::string name = "operator set '" + text_of(*import, onnx::OpsetId::kDomain) + "'";
    if (one_in(10)) {
      model_.fields.erase(model_.fields.begin() + (import - model_.fields.data()));
      return did(name + " not imported");
    }
    static constexpr int64_t kVersions[] = {1,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 0,  -1, 1000};
    const int64_t version = any(kVersions);
    if (one_in(8)) {
      model_.fields.push_back(Field(*import));
      set(model_.fields.back(), number_field(onnx::OpsetId::kVersion, version));
      return did(name + " imported again at " + std::to_string(version));
    }
    set(*import, number_field(onnx::OpsetId::kVersion, version));
    return did(name + " at " + std::to_string(version));
  }
  bool ir_version() {
    static constexpr int64_t kVersions[] = {1, 2, 3, 4, 7, 10, 12, 13, 0, -1, 99};
    const int64_t version = any(kVersions);
    set(model_, number_field(onnx::Model::kIrVersion, version));
    return did("IR version " + std::to_string(version));
  }

  // ---- tensors ----
  bool tensor_dims() {
    Field* t = tensor();
    if (t == nullptr) return false;
    Dims dims = ints(*t, TP::kDims);
    switch (below(5)) {
      case 0: std::shuffle(dims.begin(), dims.end(), random_); break;
      case 1: dims.push_back(one_in(2) ? 1 : number()); break;
      case 2: dims.insert(dims.begin(), 1); break;
      case 3:
        if (!dims.empty()) dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(below(dims.size())));
        break;
      default:
        if (!dims.empty()) any(dims) = one_in(2) ? plus_one(any(dims)) : number();
    }
    set_ints(*t, TP::kDims, dims);
    std::string text;
    for (const int64_t dim : dims) text += (text.empty() ? "" : ",") + std::to_string(dim);
    return did("constant '" + text_of(*t, TP::kName) + "' is [" + text + "]");
  }
  bool tensor_type() {
    Field* t = tensor();
    if (t == nullptr) return false;
    const auto element = static_cast<int64_t>(below(25));
    set(*t, number_field(TP::kDataType, element));
    return did("constant '" + text_of(*t, TP::kName) + "' is of type " + std::to_string(element));
  }
  // Small integers are shapes, axes and limits.
  bool tensor_values() {
    for (int tries = 0; tries < 20; ++tries) {
      Field* t = tensor();
      if (t == nullptr) return false;
      if (number_of(*t, TP::kDataType) != kInt64 || number_of(*t, TP::kDataLocation) == 1) continue;
      Dims values = ints(*t, TP::kInt64Data);
      for (const Field* raw : all(*t, TP::kRawData)) {
        values.resize(raw->bytes.size() / 8);
        if (!values.empty()) std::memcpy(values.data(), raw->bytes.data(), values.size() * 8);
      }
      if (values.empty() || values.size() > 64) continue;
      int64_t& value = any(values);
      value = one_in(3) ? plus_one(value) : number();
      const std::string text = std::to_string(value);
      if (find(*t, TP::kRawData) != nullptr) {
        set(*t, text_field(TP::kRawData, std::string(reinterpret_cast<const char*>(values.data()), values.size() * 8)));
      } else {
        set_ints(*t, TP::kInt64Data, values);
      }
      return did("a number in constant '" + text_of(*t, TP::kName) + "' is " + text);
    }
    return false;
  }
  bool tensor_fields() {
    Field* t = tensor();
    if (t == nullptr) return false;
    const std::string name = "constant '" + text_of(*t, TP::kName) + "'";
    const auto raws = all(*t, TP::kRawData);
    switch (below(5)) {
      case 0:
        if (raws.empty() || raws[0]->bytes.empty()) return false;
        raws[0]->bytes.pop_back();
        return did(name + " lacks a byte");
      case 1:
        if (raws.empty()) return false;
        raws[0]->tag = TP::kFloatData;
        return did(name + " has its bytes as float_data");
      case 2:
        for (Field* entry : all(*t, TP::kExternalData)) {
          if (text_of(*entry, onnx::StringEntry::kKey) != "offset" && one_in(2)) continue;
          const int64_t n = number();
          set(*entry, text_field(onnx::StringEntry::kValue, std::to_string(n)));
          return did(name + " has external data '" + text_of(*entry, onnx::StringEntry::kKey) + "' " +
                     std::to_string(n));
        }
        return false;
      case 3:
        set(*t, number_field(TP::kDataLocation, static_cast<int64_t>(below(3))));
        return did(name + " says its data lies elsewhere");
      default: t->fields.push_back(number_field(TP::kInt32Data, 1)); return did(name + " has int32_data too");
    }
  }

  // ---- inputs and outputs ----
  bool input_type() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto inputs = all(*of, GP::kInput);
    if (inputs.empty()) return false;
    Field* input = inputs[below(inputs.size())];
    return retype(*input, "input");
  }
  bool output_type() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto outputs = all(*of, GP::kOutput);
    return !outputs.empty() && retype(*outputs[below(outputs.size())], "output");
  }
  bool retype(Field& info, const std::string& role) {
    const std::string name = role + " '" + text_of(info, VI::kName) + "'";
    Field* type = find(info, VI::kType);
    Field* tensor = type == nullptr ? nullptr : find(*type, onnx::TypeProto::kTensor);
    Field* shape = tensor == nullptr ? nullptr : find(*tensor, onnx::TensorType::kShape);
    auto dims = shape == nullptr ? std::vector<Field*>{} : all(*shape, onnx::ShapeProto::kDim);
    switch (below(7)) {
      case 0:
        if (tensor == nullptr) return false;
        set(*tensor, number_field(onnx::TensorType::kElemType, static_cast<int64_t>(below(25))));
        return did(name + " has another element type");
      case 1:
        if (tensor == nullptr) return false;
        erase(*tensor, onnx::TensorType::kShape);
        return did(name + " has no shape");
      case 2:
        if (shape == nullptr) return false;
        shape->fields.push_back(
            message_field(onnx::ShapeProto::kDim, Kind::kDim, {number_field(onnx::Dimension::kValue, number())}));
        return did(name + " has a further dimension");
      case 3:
        if (dims.empty()) return false;
        shape->fields.erase(shape->fields.begin() + static_cast<std::ptrdiff_t>(below(shape->fields.size())));
        return did(name + " has a dimension less");
      case 4:
        if (dims.empty()) return false;
        dims[below(dims.size())]->fields = {text_field(onnx::Dimension::kParam, one_in(2) ? "n" : "\xc3")};
        return did(name + " has a symbol more");
      case 5: {
        if (role == "input" && !one_in(4)) return false;
        erase(info, VI::kType);
        return did(name + " has no type");
      }
      default:
        if (dims.empty()) return false;
        dims[below(dims.size())]->fields = {
            number_field(onnx::Dimension::kValue, one_in(3) ? number() : static_cast<int64_t>(below(9)))};
        return did(name + " has another size");
    }
  }
  bool graph_inputs() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto inputs = all(*of, GP::kInput);
    switch (below(4)) {
      case 0: {
        Field added = value_of(GP::kInput, fresh());
        const Dims dims = {2};
        added.fields.push_back(tensor_type(1, &dims));
        of->fields.push_back(std::move(added));
        return did("a further input");
      }
      case 1: {
        // A constant that callers may override.
        const auto tensors = all(*of, GP::kInitializer);
        if (tensors.empty()) return false;
        Field* t = tensors[below(tensors.size())];
        Field added = value_of(GP::kInput, text_of(*t, TP::kName));
        const Dims dims = ints(*t, TP::kDims);
        added.fields.push_back(tensor_type(number_of(*t, TP::kDataType), &dims));
        const std::string name = text_of(*t, TP::kName);
        of->fields.push_back(std::move(added));
        return did("constant '" + name + "' is an input too");
      }
      case 2: {
        // A constant that callers have to give.
        for (int tries = 0; tries < 5; ++tries) {
          const auto tensors = all(*of, GP::kInitializer);
          if (tensors.empty()) return false;
          Field* t = tensors[below(tensors.size())];
          const std::string name = text_of(*t, TP::kName);
          Field added = value_of(GP::kInput, name);
          const Dims dims = ints(*t, TP::kDims);
          added.fields.push_back(tensor_type(number_of(*t, TP::kDataType), &dims));
          of->fields.erase(of->fields.begin() + (t - of->fields.data()));
          of->fields.push_back(std::move(added));
          return did("constant '" + name + "' is an input");
        }
        return false;
      }
      default:
        if (inputs.empty()) return false;
        if (one_in(2)) {
          of->fields.push_back(Field(*inputs[0]));
          return did("an input twice");
        }
        of->fields.erase(of->fields.begin() + (inputs[0] - of->fields.data()));
        return did("an input gone");
    }
  }
  // An inner value becomes an output; often the only one, so that what does not lead to it is idle.
  bool cut_output() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto made = names(*of);
    if (made.empty()) return false;
    const std::string name = made[below(made.size())];
    const bool only = one_in(2);
    if (only) erase(*of, GP::kOutput);
    of->fields.push_back(value_of(GP::kOutput, name));
    return did("'" + name + (only ? "' is the only output" : "' is an output"));
  }
  bool output_list() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto outputs = all(*of, GP::kOutput);
    if (outputs.empty()) return false;
    Field* output = outputs[below(outputs.size())];
    switch (below(3)) {
      case 0: of->fields.push_back(Field(*output)); return did("an output twice");
      case 1: of->fields.erase(of->fields.begin() + (output - of->fields.data())); return did("an output gone");
      default: set(*output, text_field(VI::kName, fresh())); return did("an output that nothing makes");
    }
  }
  bool value_info() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto made = names(*of);
    if (made.empty()) return false;
    const std::string name = made[below(made.size())];
    Field added = value_of(GP::kValueInfo, name);
    Dims dims;
    for (size_t i = below(4); i > 0; --i) dims.push_back(one_in(5) ? number() : static_cast<int64_t>(below(9)));
    added.fields.push_back(tensor_type(one_in(4) ? static_cast<int64_t>(below(25)) : 1, one_in(4) ? nullptr : &dims));
    of->fields.push_back(std::move(added));
    return did("'" + name + "' has a made-up type");
  }

  // ---- structure ----
  // A run of nodes moves into both branches of an If.
  bool nest() {
    Field* of = graph();
    if (of == nullptr) return false;
    const auto nodes = all(*of, GP::kNode);
    if (nodes.empty()) return false;
    const size_t first = below(nodes.size());
    const size_t count = std::min(nodes.size() - first, 1 + below(4));
    std::vector<Field> moved;
    std::vector<std::string> made;
    for (size_t i = first; i < first + count; ++i) {
      moved.push_back(*nodes[i]);
      for (std::string& name : texts(*nodes[i], NP::kOutput)) {
        if (!name.empty()) made.push_back(std::move(name));
      }
    }
    if (made.empty()) return false;
    const std::ptrdiff_t place = nodes[first] - of->fields.data();
    const std::string condition = fresh();
    Field result = node_of("If", {condition}, made);
    for (const char* branch : {"then_branch", "else_branch"}) {
      Field body = message_field(AP::kG, Kind::kGraph, {text_field(GP::kName, branch)});
      // Local names of their own, unless the clash is wanted.
      const bool clash = one_in(6);
      for (const Field& node : moved) body.fields.push_back(node);
      for (const std::string& name : made) body.fields.push_back(value_of(GP::kOutput, name));
      if (!clash) {
        for (const std::string& name : made) rename_in(body, name, name + "/" + branch);
      }
      result.fields.push_back(attribute_of(branch, kGraphAttribute, std::move(body)));
    }
    size_t left = count;
    std::erase_if(of->fields, [&](const Field& field) {
      const auto at = &field - of->fields.data();
      return field.tag == GP::kNode && at >= place && left > 0 && left-- > 0;
    });
    of->fields.insert(of->fields.begin() + place, std::move(result));
    // The condition: a constant, or a node's that no pass sees through.
    if (one_in(2)) {
      Field tensor = message_field(GP::kInitializer, Kind::kTensor,
                                   {number_field(TP::kDataType, 9), text_field(TP::kName, condition),
                                    text_field(TP::kRawData, std::string(1, static_cast<char>(below(2))))});
      of->fields.push_back(std::move(tensor));
    } else {
      Field added = value_of(GP::kInput, condition);
      const Dims dims;
      added.fields.push_back(tensor_type(9, &dims));
      (all(model_, onnx::Model::kGraph).empty() ? *of : *all(model_, onnx::Model::kGraph)[0])
          .fields.push_back(std::move(added));
    }
    return did(std::to_string(count) + " nodes from " + called(moved[0]) + " on inside an If");
  }
  // A node becomes a call of a function of the model's own.
  bool into_function() {
    Field* n = node();
    if (n == nullptr) return false;
    const auto inputs = texts(*n, NP::kInput);
    const auto outputs = texts(*n, NP::kOutput);
    if (outputs.empty() || std::set(inputs.begin(), inputs.end()).size() != inputs.size()) return false;
    const std::string was = called(*n);
    const std::string name = "F" + std::to_string(serial_++);
    Field function = message_field(onnx::Model::kFunctions, Kind::kFunction, {text_field(1, name)});
    for (const std::string& input : inputs) function.fields.push_back(text_field(4, input));
    for (const std::string& output : outputs) function.fields.push_back(text_field(5, output));
    Field inner = *n;
    inner.tag = 7;
    if (one_in(6)) {
      set(inner, text_field(NP::kOpType, name));  // calls itself
      set(inner, text_field(NP::kDomain, "mutated"));
    }
    function.fields.push_back(std::move(inner));
    for (Field* import : all(model_, onnx::Model::kOpsetImport)) {
      Field copy = *import;
      copy.tag = 9;
      function.fields.push_back(std::move(copy));
    }
    function.fields.push_back(text_field(10, "mutated"));
    erase(*n, NP::kAttribute);
    set(*n, text_field(NP::kOpType, name));
    set(*n, text_field(NP::kDomain, "mutated"));
    model_.fields.push_back(
        message_field(onnx::Model::kOpsetImport, Kind::kOpset,
                      {text_field(onnx::OpsetId::kDomain, "mutated"), number_field(onnx::OpsetId::kVersion, 1)}));
    model_.fields.push_back(std::move(function));
    return did(was + " is a function's call");
  }

  // ---- whatever there is ----
  Field* some_message(Field& from) {
    std::vector<Field*> messages;
    const auto collect = [&](const auto& self, Field& message) -> void {
      for (Field& field : message.fields) {
        if (field.kind != Kind::kLeaf) messages.push_back(&field);
        self(self, field);
      }
    };
    collect(collect, from);
    return messages.empty() ? nullptr : messages[below(messages.size())];
  }
  bool drop_field() {
    Field* message = some_message(model_);
    if (message == nullptr || message->fields.empty()) return false;
    const size_t at = below(message->fields.size());
    const uint32_t tag = message->fields[at].tag;
    message->fields.erase(message->fields.begin() + static_cast<std::ptrdiff_t>(at));
    return did("a field " + std::to_string(tag) + " gone");
  }
  // A node, type, tensor or attribute gets the content of another.
  bool copy_part() {
    Field* a = some_message(model_);
    for (int tries = 0; a != nullptr && tries < 20; ++tries) {
      Field* b = some_message(model_);
      if (b == a || b->kind != a->kind || a->kind == Kind::kGraph) continue;
      std::vector<Field> copy = b->fields;  // b may lie inside a, and is gone then
      a->fields = std::move(copy);
      return did("a part is another's copy");
    }
    return false;
  }

  std::mt19937 random_;
  Field& model_;
  std::string what_;
  int serial_ = 0;
};

}  // namespace

Mutant mutate(std::string_view model, uint32_t seed) {
  auto tree = parse(Kind::kModel, model);
  if (!tree) return {std::string(model), ""};
  std::string what = Mutator(*tree, seed).run();
  return {to_bytes(*tree), std::move(what)};
}

}  // namespace plx::fuzz
