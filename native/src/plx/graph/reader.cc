#include "plx/graph/reader.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>
#include <queue>
#include <protozero/pbf_reader.hpp>
#include <stdexcept>
#include <unordered_map>

#include "plx/graph/onnx_fields.h"
#include "plx/graph/subgraphs.h"

namespace plx::graph {

namespace {

using protozero::pbf_reader;

// Inside this file errors are thrown and become one Error in read_model: a parser has too many places that can fail.
struct ReadFailure {
  Error error;
};
template <class... Parts>
[[noreturn]] void refuse(Code code, Parts&&... parts) {
  throw ReadFailure{fail(code, std::forward<Parts>(parts)...)};
}

pbf_reader reader_of(std::string_view bytes) { return pbf_reader{bytes.data(), bytes.size()}; }

struct Tensor {
  Initializer initializer;
  std::string name;
};

class Reader {
 public:
  Reader(std::shared_ptr<Storage> storage, const ReadOptions& options) : options_(options) {
    graph_.storage = std::move(storage);
  }

  Graph read(std::string_view bytes) {
    if (bytes.empty()) refuse(Code::kInvalidModel, "'", options_.name, "' is empty, so it is not an ONNX model");
    std::string_view graph_proto;
    bool has_graph = false;
    pbf_reader model = reader_of(bytes);
    while (model.next()) {
      const bool is_bytes = model.wire_type() == onnx::kBytes;
      const bool is_number = model.wire_type() == onnx::kVarint;
      if (model.tag() == onnx::Model::kIrVersion && is_number) graph_.ir_version = model.get_int64();
      else if (model.tag() == onnx::Model::kProducerName && is_bytes) graph_.producer = model.get_string();
      else if (model.tag() == onnx::Model::kOpsetImport && is_bytes) read_opset(onnx::view(model.get_view()));
      else if (model.tag() == onnx::Model::kMetadata && is_bytes) graph_.metadata.push_back(onnx::view(model.get_view()));
      else if (model.tag() == onnx::Model::kFunctions && is_bytes) graph_.functions.push_back(onnx::view(model.get_view()));
      else if (model.tag() == onnx::Model::kGraph && is_bytes) {
        graph_proto = onnx::view(model.get_view());
        has_graph = true;
      } else model.skip();
    }
    if (!has_graph) refuse(Code::kInvalidModel, "'", options_.name, "' is not an ONNX model: it holds no graph");
    if (graph_.opsets.empty()) {
      refuse(Code::kInvalidModel, "'", options_.name, "' is not a usable ONNX model: it imports no operator set");
    }
    read_graph(graph_proto);
    return std::move(graph_);
  }

 private:
  void read_opset(std::string_view bytes) {
    std::string domain;
    int64_t version = 0;
    pbf_reader opset = reader_of(bytes);
    while (opset.next()) {
      if (opset.tag() == onnx::OpsetId::kDomain && opset.wire_type() == onnx::kBytes) domain = opset.get_string();
      else if (opset.tag() == onnx::OpsetId::kVersion && opset.wire_type() == onnx::kVarint) version = opset.get_int64();
      else opset.skip();
    }
    graph_.opsets[domain == "ai.onnx" ? "" : domain] = version;
  }

  ValueId value_named(std::string_view name) {
    const auto [it, added] = ids_.try_emplace(std::string(name), static_cast<ValueId>(graph_.values.size()));
    if (added) graph_.values.push_back(Value{.name = it->first, .type = {}, .consumers = {}});
    return it->second;
  }

  // Name and type of a ValueInfoProto.
  static std::pair<std::string, Type> read_value_info(std::string_view bytes) {
    std::string name;
    Type type;
    pbf_reader info = reader_of(bytes);
    while (info.next()) {
      if (info.wire_type() != onnx::kBytes) info.skip();
      else if (info.tag() == onnx::ValueInfo::kName) name = info.get_string();
      else if (info.tag() == onnx::ValueInfo::kType) type = read_type(onnx::view(info.get_view()));
      else info.skip();
    }
    return {std::move(name), std::move(type)};
  }

  static Type read_type(std::string_view bytes) {
    Type type;
    type.proto = bytes;
    pbf_reader proto = reader_of(bytes);
    while (proto.next()) {
      if (proto.wire_type() != onnx::kBytes) {
        proto.skip();
        continue;
      }
      switch (proto.tag()) {
        case onnx::TypeProto::kTensor:
          type.kind = Kind::kTensor;
          read_tensor_type(onnx::view(proto.get_view()), type);
          break;
        case onnx::TypeProto::kSparseTensor:
          type.kind = Kind::kSparseTensor;
          read_tensor_type(onnx::view(proto.get_view()), type);
          break;
        case onnx::TypeProto::kSequence: type.kind = Kind::kSequence; proto.skip(); break;
        case onnx::TypeProto::kMap: type.kind = Kind::kMap; proto.skip(); break;
        case onnx::TypeProto::kOptional: type.kind = Kind::kOptional; proto.skip(); break;
        default: proto.skip();
      }
    }
    return type;
  }

  static void read_tensor_type(std::string_view bytes, Type& type) {
    pbf_reader tensor = reader_of(bytes);
    while (tensor.next()) {
      if (tensor.tag() == onnx::TensorType::kElemType && tensor.wire_type() == onnx::kVarint) {
        type.element = static_cast<ElementType>(tensor.get_int32());
      } else if (tensor.tag() == onnx::TensorType::kShape && tensor.wire_type() == onnx::kBytes) {
        type.shape.emplace();
        pbf_reader shape = reader_of(onnx::view(tensor.get_view()));
        while (shape.next(onnx::ShapeProto::kDim, onnx::kBytes)) {
          Dim& dim = type.shape->emplace_back();
          pbf_reader dimension = reader_of(onnx::view(shape.get_view()));
          while (dimension.next()) {
            if (dimension.tag() == onnx::Dimension::kValue && dimension.wire_type() == onnx::kVarint) {
              // Exporters write 0 or -1 for a size they do not know; ONNX Runtime takes negative ones as open.
              const int64_t size = dimension.get_int64();
              dim.size = size < 0 ? -1 : size;
            } else if (dimension.tag() == onnx::Dimension::kParam && dimension.wire_type() == onnx::kBytes) {
              dim.symbol = dimension.get_string();
            } else {
              dimension.skip();
            }
          }
        }
      } else {
        tensor.skip();
      }
    }
  }

  void read_graph(std::string_view bytes) {
    std::vector<std::string_view> nodes;
    std::vector<std::string_view> infos;
    std::vector<ValueId> declared_inputs;
    pbf_reader graph = reader_of(bytes);
    while (graph.next()) {
      if (graph.wire_type() != onnx::kBytes) {
        graph.skip();
        continue;
      }
      const auto tag = graph.tag();
      const std::string_view field = onnx::view(graph.get_view());
      switch (tag) {
        case onnx::GraphProto::kName: graph_.name = std::string(field); break;
        case onnx::GraphProto::kNode: nodes.push_back(field); break;
        case onnx::GraphProto::kInitializer: add_initializer(field, false); break;
        case onnx::GraphProto::kSparseInitializer: add_initializer(field, true); break;
        case onnx::GraphProto::kValueInfo: infos.push_back(field); break;
        case onnx::GraphProto::kInput: {
          auto [name, type] = read_value_info(field);
          const ValueId id = value_named(name);
          if (graph_.values[id].is_input) {
            refuse(Code::kInvalidModel, "'", options_.name, "' declares the input '", name, "' twice");
          }
          graph_.values[id].is_input = true;
          graph_.values[id].type = std::move(type);
          declared_inputs.push_back(id);
          break;
        }
        case onnx::GraphProto::kOutput: {
          auto [name, type] = read_value_info(field);
          const ValueId id = value_named(name);
          graph_.values[id].is_output = true;
          if (graph_.values[id].type.kind == Kind::kUnknown) graph_.values[id].type = std::move(type);
          graph_.outputs.push_back(id);
          break;
        }
        default: break;
      }
    }
    for (const ValueId id : declared_inputs) {
      if (graph_.values[id].initializer == kNone) graph_.inputs.push_back(id);
    }
    read_nodes(nodes);
    for (const std::string_view field : infos) {
      auto [name, type] = read_value_info(field);
      const auto it = ids_.find(name);
      if (it != ids_.end() && graph_.values[it->second].type.kind == Kind::kUnknown) {
        graph_.values[it->second].type = std::move(type);
      }
    }
    link();
    for (const ValueId id : graph_.outputs) {  // what the graph hands out as it is
      const int32_t index = graph_.values[id].initializer;
      if (index == kNone || options_.load_data || graph_.initializers[index].sparse) continue;
      graph_.initializers[index].data = read_tensor(graph_.initializers[index].proto, true).initializer.data;
    }
  }

  void add_initializer(std::string_view proto, bool sparse) {
    Tensor tensor;
    if (sparse) {
      pbf_reader reader = reader_of(proto);
      if (reader.next(onnx::SparseTensor::kValues, onnx::kBytes)) tensor = read_tensor(onnx::view(reader.get_view()), false);
      tensor.initializer = Initializer{.element = tensor.initializer.element, .dims = {}, .proto = proto, .sparse = true};
      pbf_reader dims = reader_of(proto);
      while (dims.next(onnx::SparseTensor::kDims)) onnx::append_int64s(dims, tensor.initializer.dims);
    } else {
      tensor = read_tensor(proto, options_.load_data);
    }
    if (tensor.name.empty()) refuse(Code::kInvalidModel, "'", options_.name, "' holds an initializer without a name");
    const ValueId id = value_named(tensor.name);
    Value& value = graph_.values[id];
    if (value.initializer != kNone) {
      refuse(Code::kInvalidModel, "'", options_.name, "' defines the initializer '", tensor.name, "' twice");
    }
    value.initializer = static_cast<int32_t>(graph_.initializers.size());
    if (!value.is_input) {
      value.type.kind = Kind::kTensor;
      value.type.element = tensor.initializer.element;
      value.type.shape.emplace();
      for (const int64_t dim : tensor.initializer.dims) value.type.shape->push_back(Dim{.size = dim, .symbol = {}});
    }
    graph_.initializers.push_back(std::move(tensor.initializer));
  }

  Tensor read_tensor(std::string_view proto, bool load) {
    Tensor tensor;
    Initializer& init = tensor.initializer;
    init.proto = proto;
    std::vector<std::pair<std::string, std::string>> external;
    std::string_view raw;
    bool has_raw = false;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      const bool is_bytes = reader.wire_type() == onnx::kBytes;
      const bool is_number = reader.wire_type() == onnx::kVarint;
      if (reader.tag() == onnx::TensorProto::kDims) onnx::append_int64s(reader, init.dims);
      else if (reader.tag() == onnx::TensorProto::kDataType && is_number) init.element = static_cast<ElementType>(reader.get_int32());
      else if (reader.tag() == onnx::TensorProto::kName && is_bytes) tensor.name = reader.get_string();
      else if (reader.tag() == onnx::TensorProto::kDataLocation && is_number) init.external = reader.get_int32() == 1;
      else if (reader.tag() == onnx::TensorProto::kRawData && is_bytes) {
        raw = onnx::view(reader.get_view());
        has_raw = true;
      } else if (reader.tag() == onnx::TensorProto::kExternalData && is_bytes) {
        auto& [key, value] = external.emplace_back();
        pbf_reader entry = reader_of(onnx::view(reader.get_view()));
        while (entry.next()) {
          if (entry.wire_type() != onnx::kBytes) entry.skip();
          else if (entry.tag() == onnx::StringEntry::kKey) key = entry.get_string();
          else if (entry.tag() == onnx::StringEntry::kValue) value = entry.get_string();
          else entry.skip();
        }
      } else if (reader.tag() == onnx::TensorProto::kSegment) {
        refuse(Code::kUnsupported, "'", options_.name, "' stores tensor '", tensor.name, "' in segments, which nothing reads");
      } else reader.skip();
    }
    if (init.element == ElementType::kString) return tensor;
    const auto size = tensor_bytes(init.element, init.dims);
    if (!size) {
      refuse(Code::kInvalidModel, "tensor '", tensor.name, "' in '", options_.name,
             "' has a negative or overflowing size, or an element type (", static_cast<int32_t>(init.element),
             ") that is not known");
    }
    init.size_bytes = *size;
    if (init.external) {
      const std::span<const std::byte> bytes = external_data(tensor.name, external, *size);
      if (load) init.data = aligned_to_elements(bytes, init.element);
    } else if (has_raw) {
      if (raw.size() != *size) {
        refuse(Code::kInvalidModel, "tensor '", tensor.name, "' in '", options_.name, "' has ", raw.size(),
               " bytes of data where its shape needs ", *size);
      }
      if (load) init.data = aligned(raw);
    } else if (load) {
      init.data = decode(tensor.name, proto, init);
    }
    return tensor;
  }

  // Weights inside the model lie wherever the encoding put them; kernels want them aligned.
  const std::byte* aligned(std::string_view raw) {
    const auto address = reinterpret_cast<uintptr_t>(raw.data());
    if (address % 64 == 0) return reinterpret_cast<const std::byte*>(raw.data());
    const auto copy = graph_.storage->allocate(raw.size());
    std::memcpy(copy.data(), raw.data(), raw.size());
    return copy.data();
  }

  // External data stays where it is mapped, unless its place there does not even suit its elements.
  const std::byte* aligned_to_elements(std::span<const std::byte> bytes, ElementType element) {
    const auto width = static_cast<uintptr_t>(std::max(element_bits(element) / 8, 1));
    if (reinterpret_cast<uintptr_t>(bytes.data()) % width == 0) return bytes.data();
    return aligned({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  std::span<const std::byte> external_data(const std::string& tensor,
                                           const std::vector<std::pair<std::string, std::string>>& entries, uint64_t size) {
    std::string location;
    uint64_t offset = 0;
    uint64_t length = size;
    for (const auto& [key, value] : entries) {
      if (key == "location") location = value;
      if (key == "offset") offset = number(tensor, key, value);
      if (key == "length") length = number(tensor, key, value);
    }
    if (location.empty()) refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' names no file");
    if (options_.base_directory.empty()) {
      refuse(Code::kInvalidArgument, "tensor '", tensor, "' of '", options_.name, "' lies in the external file '", location,
             "', and no folder to look for it was given: load the model from its path, or set the base directory");
    }
    if (length != size) {
      refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' says it has ", length,
             " bytes where its shape needs ", size);
    }
    namespace fs = std::filesystem;
    const fs::path relative(location);
    for (const auto& part : relative) {
      if (part == ".." || relative.is_absolute()) {
        refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' points outside the model's folder: '",
               location, "'");
      }
    }
    const std::string path = (fs::path(options_.base_directory) / relative).string();
    auto file = graph_.storage->external_file(path);
    if (!file) {
      Error error = file.error();
      error.message += " (external data of tensor '" + tensor + "' in '" + options_.name + "')";
      throw ReadFailure{std::move(error)};
    }
    auto& files = graph_.external_files;
    if (std::find(files.begin(), files.end(), location) == files.end()) files.push_back(location);
    if (offset > file->size() || size > file->size() - offset) {
      refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' needs bytes ", offset, " to ",
             offset + size, " of '", path, "', which has ", file->size(), " (is it complete?)");
    }
    return file->subspan(offset, size);
  }

  uint64_t number(const std::string& tensor, const std::string& key, const std::string& text) {
    uint64_t value = 0;
    const bool digits = !text.empty() && text.size() < 20 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
      return c >= '0' && c <= '9';
    });
    if (!digits) {
      refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' has the ", key, " '", text,
             "', which is not a number of bytes");
    }
    for (const char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
    return value;
  }

  // Typed fields (float_data and its like) to dense bytes.
  const std::byte* decode(const std::string& name, std::string_view proto, const Initializer& init) {
    // A number takes at least one byte of the file and makes at most eight: a shape far beyond that is refused unallocated.
    if (init.size_bytes / 8 > proto.size()) {
      refuse(Code::kInvalidModel, "tensor '", name, "' in '", options_.name, "' has less data than the ", init.size_bytes,
             " bytes its shape needs");
    }
    const auto out = graph_.storage->allocate(init.size_bytes);
    size_t at = 0;
    const auto put = [&](const void* bytes, size_t count) {
      if (count > out.size() - at) refuse(Code::kInvalidModel, "tensor '", name, "' in '", options_.name, "' has more data than its shape");
      std::memcpy(out.data() + at, bytes, count);
      at += count;
    };
    const int bits = element_bits(init.element);
    const size_t width = bits < 8 ? 1 : static_cast<size_t>(bits) / 8;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      const bool packed = reader.wire_type() == onnx::kBytes;
      switch (reader.tag()) {
        case onnx::TensorProto::kFloatData:
        case onnx::TensorProto::kDoubleData:
          if (packed) {
            const auto view = reader.get_view();  // fixed-width little-endian, as in memory
            put(view.data(), view.size());
          } else if (reader.wire_type() == onnx::kFixed32) {
            const float value = reader.get_float();
            put(&value, sizeof value);
          } else if (reader.wire_type() == protozero::pbf_wire_type::fixed64) {
            const double value = reader.get_double();
            put(&value, sizeof value);
          } else reader.skip();
          break;
        case onnx::TensorProto::kInt32Data:
        case onnx::TensorProto::kInt64Data:
        case onnx::TensorProto::kUint64Data: {
          std::vector<int64_t> values;
          onnx::append_int64s(reader, values);  // two's complement: the low bytes are the value whatever the sign
          for (const int64_t value : values) put(&value, std::min(width, sizeof value));
          break;
        }
        default: reader.skip();
      }
    }
    if (at != out.size()) {
      refuse(Code::kInvalidModel, "tensor '", name, "' in '", options_.name, "' has ", at, " bytes of data where its shape needs ",
             out.size());
    }
    return out.data();
  }

  void read_nodes(const std::vector<std::string_view>& protos) {
    graph_.nodes.reserve(protos.size());
    for (const std::string_view proto : protos) {
      Node node;
      pbf_reader reader = reader_of(proto);
      while (reader.next()) {
        if (reader.wire_type() != onnx::kBytes) {
          reader.skip();
          continue;
        }
        const auto tag = reader.tag();
        const std::string_view field = onnx::view(reader.get_view());
        switch (tag) {
          case onnx::NodeProto::kInput: node.inputs.push_back(field.empty() ? kNone : value_named(field)); break;
          case onnx::NodeProto::kOutput: node.outputs.push_back(field.empty() ? kNone : value_named(field)); break;
          case onnx::NodeProto::kName: node.name = std::string(field); break;
          case onnx::NodeProto::kOpType: node.op_type = std::string(field); break;
          case onnx::NodeProto::kDomain: node.domain = field == "ai.onnx" ? "" : std::string(field); break;
          case onnx::NodeProto::kOverload: node.overload = std::string(field); break;
          case onnx::NodeProto::kAttribute: node.attributes.push_back(field); break;
          default: break;
        }
      }
      if (node.op_type.empty()) refuse(Code::kInvalidModel, "'", options_.name, "' holds a node without an operator");
      const auto index = static_cast<NodeId>(graph_.nodes.size());
      for (const ValueId id : node.outputs) {
        if (id == kNone) continue;
        Value& value = graph_.values[id];
        if (value.producer != kNone || value.initializer != kNone || value.is_input) {
          refuse(Code::kInvalidModel, "'", options_.name, "' makes the value '", value.name, "' twice; the second time in ",
                 describe(node));
        }
        value.producer = index;
      }
      graph_.nodes.push_back(std::move(node));
    }
    graph_.total_nodes = graph_.nodes.size();
    read_bodies();
  }

  static std::string describe(const Node& node) {
    return "node '" + node.name + "' (" + (node.domain.empty() ? "" : node.domain + ".") + node.op_type + ")";
  }

  // Subgraphs: what they read from here, and names that clash.
  void read_bodies() {
    NameSet outer;
    for (Node& node : graph_.nodes) {
      SubgraphScan scan;
      for (const std::string_view bytes : node.attributes) {
        pbf_reader attribute = reader_of(bytes);
        while (attribute.next()) {
          const bool is_graph = attribute.tag() == onnx::Attribute::kG || attribute.tag() == onnx::Attribute::kGraphs;
          if (!is_graph || attribute.wire_type() != onnx::kBytes) {
            attribute.skip();
            continue;
          }
          node.has_subgraph = true;
          scan_subgraph(onnx::view(attribute.get_view()), options_.max_depth, scan);
        }
      }
      if (!node.has_subgraph) continue;
      graph_.total_nodes += scan.nodes;
      for (const std::string_view tensor : scan.tensors) read_tensor(tensor, false);  // checks sizes and external files
      for (const auto& name : scan.reads) {
        const auto it = ids_.find(name);
        if (it == ids_.end()) {
          refuse(Code::kInvalidModel, "a subgraph of ", describe(node), " in '", options_.name, "' reads '", name,
                 "', which nothing makes");
        }
        node.captures.push_back(it->second);
      }
      if (outer.empty()) {
        for (const auto& [name, id] : ids_) outer.insert(name);
      }
      const bool clash = std::any_of(scan.definitions.begin(), scan.definitions.end(),
                                     [&](const std::string& name) { return outer.contains(name); });
      if (!clash) continue;
      for (std::string_view& bytes : node.attributes) bytes = graph_.storage->keep_text(rename_clashes(bytes, outer));
    }
  }

  // Sorts the nodes, checks that everything read is made, and fills the consumers.
  void link() {
    const size_t count = graph_.nodes.size();
    std::vector<std::vector<NodeId>> readers(count);
    std::vector<int> open(count, 0);
    for (size_t i = 0; i < count; ++i) {
      const Node& node = graph_.nodes[i];
      for (const auto* list : {&node.inputs, &node.captures}) {
        for (const ValueId id : *list) {
          if (id == kNone) continue;
          const Value& value = graph_.values[id];
          if (value.producer == kNone && value.initializer == kNone && !value.is_input) {
            refuse(Code::kInvalidModel, describe(node), " in '", options_.name, "' reads '", value.name, "', which nothing makes");
          }
        }
      }
      for (const NodeId producer : predecessors(graph_, static_cast<NodeId>(i))) {
        readers[producer].push_back(static_cast<NodeId>(i));
        ++open[i];
      }
    }
    for (const ValueId id : graph_.outputs) {
      const Value& value = graph_.values[id];
      if (value.producer == kNone && value.initializer == kNone && !value.is_input) {
        refuse(Code::kInvalidModel, "'", options_.name, "' has the output '", value.name, "', which nothing makes");
      }
    }
    // Kahn's algorithm, the lowest index first: a sorted file keeps its order.
    std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
    for (size_t i = 0; i < count; ++i) {
      if (open[i] == 0) ready.push(static_cast<NodeId>(i));
    }
    std::vector<NodeId> order;
    order.reserve(count);
    while (!ready.empty()) {
      const NodeId id = ready.top();
      ready.pop();
      order.push_back(id);
      for (const NodeId reader : readers[id]) {
        if (--open[reader] == 0) ready.push(reader);
      }
    }
    if (order.size() != count) {
      const auto stuck = std::find_if(open.begin(), open.end(), [](int n) { return n > 0; }) - open.begin();
      refuse(Code::kInvalidModel, "'", options_.name, "' has a cycle: ", describe(graph_.nodes[stuck]),
             " depends on its own output or waits for a node that does");
    }
    std::vector<NodeId> place(count);
    std::vector<Node> sorted;
    sorted.reserve(count);
    for (const NodeId id : order) {
      place[id] = static_cast<NodeId>(sorted.size());
      sorted.push_back(std::move(graph_.nodes[id]));
    }
    graph_.nodes = std::move(sorted);
    for (Value& value : graph_.values) {
      if (value.producer != kNone) value.producer = place[value.producer];
    }
    for (size_t i = 0; i < count; ++i) {
      const Node& node = graph_.nodes[i];
      for (const auto* list : {&node.inputs, &node.captures}) {
        for (const ValueId id : *list) {
          if (id == kNone) continue;
          auto& consumers = graph_.values[id].consumers;
          if (consumers.empty() || consumers.back() != static_cast<NodeId>(i)) consumers.push_back(static_cast<NodeId>(i));
        }
      }
    }
  }

  const ReadOptions& options_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
};

}  // namespace

Result<Graph> read_model(std::span<const std::byte> bytes, std::shared_ptr<Storage> storage, const ReadOptions& options) {
  try {
    return Reader(std::move(storage), options).read({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } catch (ReadFailure& failure) {
    return std::move(failure.error);
  } catch (const protozero::exception&) {
    return fail(Code::kInvalidModel, "'", options.name, "' is not an ONNX model, or a truncated or damaged one: its bytes end or break in the middle of a field");
  } catch (const std::length_error& error) {
    return fail(Code::kInvalidModel, "'", options.name, "' cannot be read: ", error.what());
  } catch (const std::bad_alloc&) {
    return fail(Code::kIo, "not enough memory to read '", options.name, "'");
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(Code::kIo, "cannot read '", options.name, "': ", error.what());
  }
}

Result<Graph> read_model_file(const std::string& path, ReadOptions options) {
  auto mapping = Mapping::open(path);
  if (!mapping) return mapping.error();
  options.name = path;
  options.base_directory = std::filesystem::path(path).parent_path().string();
  if (options.base_directory.empty()) options.base_directory = ".";
  auto storage = std::make_shared<Storage>();
  const auto bytes = storage->keep(mapping.take());
  return read_model(bytes, std::move(storage), options);
}

}  // namespace plx::graph
