#include "plx/graph/reader.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>
#include <protozero/pbf_reader.hpp>
#include <queue>
#include <set>
#include <unordered_map>

#include "plx/base/text.h"
#include "plx/graph/messages.h"
#include "plx/graph/onnx_fields.h"
#include "plx/graph/subgraphs.h"

namespace plx::graph {

namespace {

using protozero::pbf_reader;

// Inside this file errors are thrown and become one Error in read_model: a parser has too many places that can fail. Refused
// (messages.h) is what stands elsewhere in this folder and does not know the model's name.
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
  std::string_view name;
};

class Reader {
 public:
  Reader(std::shared_ptr<Storage> storage, const ReadOptions& options) : options_(options) {
    graph_.storage = std::move(storage);
  }

  Graph read(std::string_view bytes) {
    if (bytes.empty()) refuse(Code::kInvalidModel, "'", options_.name, "' is empty, so it is not an ONNX model");
    if (bytes.size() > options_.limits.model_bytes) {
      refuse(Code::kInvalidModel, "'", options_.name, "' has ", bytes.size(), " bytes, more than the limit of ",
             options_.limits.model_bytes, " for a model (max_model_bytes); weights beyond it have to lie in an external file");
    }
    graph_.model = bytes;
    std::string_view graph_proto;
    bool has_graph = false;
    pbf_reader model = reader_of(bytes);
    while (model.next()) {
      const bool is_bytes = model.wire_type() == onnx::kBytes;
      const bool is_number = model.wire_type() == onnx::kVarint;
      if (model.tag() == onnx::Model::kIrVersion && is_number) graph_.ir_version = model.get_int64();
      else if (model.tag() == onnx::Model::kProducerName && is_bytes) graph_.producer = name(onnx::view(model.get_view()));
      else if (model.tag() == onnx::Model::kOpsetImport && is_bytes) read_opset(onnx::view(model.get_view()));
      else if (model.tag() == onnx::Model::kMetadata && is_bytes) {
        count_entry();
        graph_.metadata.push_back(onnx::view(model.get_view()));
      } else if (model.tag() == onnx::Model::kFunctions && is_bytes) {
        count_entry();
        graph_.functions.push_back(onnx::view(model.get_view()));
      } else if (model.tag() == onnx::Model::kGraph && is_bytes) {
        // Protobuf would merge the two, and ONNX Runtime would see another graph than this.
        if (has_graph) refuse(Code::kInvalidModel, "'", options_.name, "' holds two graphs");
        graph_proto = onnx::view(model.get_view());
        has_graph = true;
      } else model.skip();
    }
    if (!has_graph) refuse(Code::kInvalidModel, "'", options_.name, "' is not an ONNX model: it holds no graph");
    if (graph_.opsets.empty()) {
      refuse(Code::kInvalidModel, "'", options_.name, "' is not a usable ONNX model: it imports no operator set");
    }
    read_functions();
    read_graph(graph_proto);
    return std::move(graph_);
  }

 private:
  // Everything that takes far more memory here than in the file is counted.
  void count_entry() {
    if (++entries_ / kEntriesPerNode <= options_.limits.nodes) return;
    refuse(Code::kInvalidModel, "'", options_.name, "' has more than ", options_.limits.nodes * kEntriesPerNode,
           " values, dimensions, attributes and the like: the limit of ", options_.limits.nodes,
           " nodes (max_nodes) allows no more");
  }

  // A node of the graph or of a body in it, and what it becomes if it calls a function.
  void count_node(uint64_t written_out = 0) {
    ++graph_.total_nodes;
    written_out_ += std::min(written_out, options_.limits.nodes + 1);
    if (graph_.total_nodes + written_out_ <= options_.limits.nodes) return;
    refuse(Code::kInvalidModel, "'", options_.name, "' has more nodes than the limit of ", options_.limits.nodes,
           " (max_nodes), those of subgraphs, and of functions at each of their calls, included");
  }

  std::string name(std::string_view text) const { return std::string(checked_name(text)); }

  std::string_view checked_name(std::string_view text) const {
    if (text.size() > kLongestName) {
      refuse(Code::kInvalidModel, "'", options_.name, "' holds a name of ", text.size(), " bytes, '", printable(text),
             "'; names have ", kLongestName, " at most");
    }
    // ONNX Runtime takes names as C strings: what follows a zero byte would be lost.
    if (!is_utf8(text) || text.find('\0') != std::string_view::npos) {
      refuse(Code::kInvalidModel, "'", options_.name, "' holds the name '", printable(text),
             "', which is not UTF-8 text without zero bytes");
    }
    return text;
  }

  void read_opset(std::string_view bytes) {
    std::string domain;
    int64_t version = 0;
    pbf_reader opset = reader_of(bytes);
    while (opset.next()) {
      if (opset.tag() == onnx::OpsetId::kDomain && opset.wire_type() == onnx::kBytes) domain = name(onnx::view(opset.get_view()));
      else if (opset.tag() == onnx::OpsetId::kVersion && opset.wire_type() == onnx::kVarint) version = opset.get_int64();
      else opset.skip();
    }
    if (version < 1) {
      refuse(Code::kInvalidModel, "'", options_.name, "' imports version ", version, " of the operator set '",
             domain.empty() ? "ai.onnx" : domain, "'; versions count from 1");
    }
    count_entry();
    graph_.opsets[domain == "ai.onnx" ? "" : domain] = version;
  }

  // `text` stands in the model.
  ValueId value_named(std::string_view text) {
    const auto id = static_cast<ValueId>(graph_.values.size());
    const auto [known, is_new] = ids_.try_emplace(text, id);
    if (!is_new) return known->second;
    count_entry();
    graph_.values.push_back(Value{.name = name(text), .type = {}, .consumers = {}});
    return id;
  }

  // Name and type of a ValueInfoProto.
  std::pair<std::string_view, Type> read_value_info(std::string_view bytes) {
    count_entry();
    std::string_view name_of_value;
    Type type;
    pbf_reader info = reader_of(bytes);
    while (info.next()) {
      if (info.wire_type() != onnx::kBytes) info.skip();
      else if (info.tag() == onnx::ValueInfo::kName) name_of_value = checked_name(onnx::view(info.get_view()));
      else if (info.tag() == onnx::ValueInfo::kType) type = read_type(onnx::view(info.get_view()));
      else info.skip();
    }
    return {name_of_value, std::move(type)};
  }

  Type read_type(std::string_view bytes) {
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

  void read_tensor_type(std::string_view bytes, Type& type) {
    pbf_reader tensor = reader_of(bytes);
    while (tensor.next()) {
      if (tensor.tag() == onnx::TensorType::kElemType && tensor.wire_type() == onnx::kVarint) {
        type.element = static_cast<ElementType>(tensor.get_int32());
      } else if (tensor.tag() == onnx::TensorType::kShape && tensor.wire_type() == onnx::kBytes) {
        type.shape.emplace();
        pbf_reader shape = reader_of(onnx::view(tensor.get_view()));
        while (shape.next(onnx::ShapeProto::kDim, onnx::kBytes)) {
          count_entry();
          check_rank(type.shape->size() + 1);
          Dim& dim = type.shape->emplace_back();
          pbf_reader dimension = reader_of(onnx::view(shape.get_view()));
          while (dimension.next()) {
            if (dimension.tag() == onnx::Dimension::kValue && dimension.wire_type() == onnx::kVarint) {
              // Exporters write 0 or -1 for a size they do not know; ONNX Runtime takes negative ones as open.
              const int64_t size = dimension.get_int64();
              dim.size = size < 0 ? -1 : size;
            } else if (dimension.tag() == onnx::Dimension::kParam && dimension.wire_type() == onnx::kBytes) {
              dim.symbol = name(onnx::view(dimension.get_view()));
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

  void check_rank(size_t rank) const {
    if (rank <= kMostDimensions) return;
    refuse(Code::kInvalidModel, "'", options_.name, "' holds a tensor of ", rank, " dimensions or more; there may be ",
           kMostDimensions);
  }

  static bool element_is_known(const Type& type) {
    const bool tensor = type.kind == Kind::kTensor || type.kind == Kind::kSparseTensor;
    const auto element = static_cast<int32_t>(type.element);
    return !tensor || (element >= 0 && element <= static_cast<int32_t>(ElementType::kInt4));
  }

  // Whoever binds a tensor has to know what it is made of.
  void check_element(const Value& value) const {
    if (element_is_known(value.type)) return;
    refuse(Code::kUnsupported, "'", value.name, "' of '", options_.name, "' is of element type ",
           static_cast<int32_t>(value.type.element), ", which is not known");
  }

  // Room for what a graph usually has: a value for each node, initializer, input and output. A field takes two bytes in
  // the file and a hundred here, so that a large graph gets more only as it is found to be one.
  void reserve(std::string_view bytes) {
    size_t initializers = 0;
    size_t values = 0;
    pbf_reader graph = reader_of(bytes);
    while (graph.next()) {
      initializers += graph.tag() == onnx::GraphProto::kInitializer ? 1 : 0;
      values += graph.tag() == onnx::GraphProto::kValueInfo ? 0 : 1;
      graph.skip();
    }
    values = std::min<size_t>(values, kMostReserved);
    graph_.initializers.reserve(std::min<size_t>(initializers, kMostReserved));
    graph_.values.reserve(values);
    ids_.reserve(values);
  }

  void read_graph(std::string_view bytes) {
    std::vector<std::string_view> nodes;
    std::vector<std::string_view> infos;
    std::vector<ValueId> declared_inputs;
    reserve(bytes);
    pbf_reader graph = reader_of(bytes);
    while (graph.next()) {
      if (graph.wire_type() != onnx::kBytes) {
        graph.skip();
        continue;
      }
      const auto tag = graph.tag();
      const std::string_view field = onnx::view(graph.get_view());
      switch (tag) {
        case onnx::GraphProto::kName: graph_.name = name(field); break;
        case onnx::GraphProto::kNode:
          if (nodes.size() >= options_.limits.nodes) count_node(options_.limits.nodes);
          nodes.push_back(field);
          break;
        case onnx::GraphProto::kInitializer: add_initializer(field, false); break;
        case onnx::GraphProto::kSparseInitializer: add_initializer(field, true); break;
        case onnx::GraphProto::kValueInfo:
          count_entry();
          infos.push_back(field);
          break;
        case onnx::GraphProto::kInput: {
          auto [input, type] = read_value_info(field);
          const ValueId id = value_named(input);
          if (graph_.values[id].is_input) {
            refuse(Code::kInvalidModel, "'", options_.name, "' declares the input '", input, "' twice");
          }
          graph_.values[id].is_input = true;
          graph_.values[id].type = std::move(type);
          check_element(graph_.values[id]);
          declared_inputs.push_back(id);
          break;
        }
        case onnx::GraphProto::kOutput: {
          auto [output, type] = read_value_info(field);
          const ValueId id = value_named(output);
          graph_.values[id].is_output = true;
          if (graph_.values[id].type.kind == Kind::kUnknown) graph_.values[id].type = std::move(type);
          check_element(graph_.values[id]);
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
      auto [inner, type] = read_value_info(field);
      if (!element_is_known(type)) continue;  // ONNX Runtime says what it is, if it knows
      const auto it = ids_.find(inner);
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
    Tensor tensor = sparse ? read_sparse(proto) : read_tensor(proto, options_.load_data);
    if (sparse) {
      walk(proto, Message::kSparseTensor, 0, [&](Message kind, std::string_view part) {
        if (kind == Message::kTensor) check_tensor(part);
      });
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

  // Without its values and indices, which are tensors of their own.
  Tensor read_sparse(std::string_view proto) {
    Tensor tensor;
    ElementType element = ElementType::kUndefined;
    std::vector<int64_t> dims;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      if (reader.tag() == onnx::SparseTensor::kDims) {
        append_dims(reader, dims);
      } else if (reader.tag() == onnx::SparseTensor::kValues && reader.wire_type() == onnx::kBytes) {
        Tensor values = read_tensor(onnx::view(reader.get_view()), false);
        tensor.name = values.name;
        element = values.initializer.element;
      } else {
        reader.skip();
      }
    }
    const auto dense = tensor_bytes(element == ElementType::kString ? ElementType::kUint8 : element, dims);
    if (!dense) {
      refuse(Code::kInvalidModel, "the sparse tensor '", tensor.name, "' in '", options_.name,
             "' has a negative or overflowing size, or an element type that is not known");
    }
    sparse_bytes_ += std::min(*dense, UINT64_MAX - sparse_bytes_);
    if (sparse_bytes_ > options_.limits.constant_bytes) {
      refuse(Code::kInvalidModel, "the sparse tensors of '", options_.name, "' take ", sparse_bytes_,
             " bytes or more once they are dense, as ONNX Runtime makes them; the limit for constants that are computed is ",
             options_.limits.constant_bytes, " (max_constant_bytes)");
    }
    tensor.initializer = Initializer{.element = element, .dims = std::move(dims), .proto = proto, .sparse = true};
    return tensor;
  }

  // A dimension takes a byte in the file: what is far too much is refused before it is stored.
  void append_dims(pbf_reader& message, std::vector<int64_t>& dims) {
    const auto append = [&](int64_t dim) {
      count_entry();
      dims.push_back(dim);
      check_rank(dims.size());
    };
    if (message.wire_type() == onnx::kBytes) {
      for (const int64_t dim : message.get_packed_int64()) append(dim);
    } else if (message.wire_type() == onnx::kVarint) {
      append(message.get_int64());
    } else {
      message.skip();
    }
  }

  void check(Message kind, std::string_view bytes) {
    if (kind == Message::kTensor) check_tensor(bytes);
    else read_sparse(bytes);
  }

  // Tensors that no one hands over by value: those of attributes, of bodies and of functions. ONNX Runtime reads them
  // itself, and must not be led astray. Their element types are its own affair.
  void check_tensor(std::string_view proto) {
    ElementType element = ElementType::kUndefined;
    bool external = false;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      const bool is_number = reader.wire_type() == onnx::kVarint;
      if (reader.tag() == onnx::TensorProto::kDataType && is_number) element = static_cast<ElementType>(reader.get_int32());
      else if (reader.tag() == onnx::TensorProto::kDataLocation && is_number) external = reader.get_int32() == 1;
      else reader.skip();
    }
    if (external || element_bits(element) != 0) read_tensor(proto, false);
  }

  Tensor read_tensor(std::string_view proto, bool load) {
    count_entry();
    Tensor tensor;
    Initializer& init = tensor.initializer;
    init.proto = proto;
    std::vector<std::pair<std::string, std::string>> external;
    std::string_view raw;
    bool has_raw = false;
    uint64_t strings = 0;
    pbf_reader reader = reader_of(proto);
    while (reader.next()) {
      const bool is_bytes = reader.wire_type() == onnx::kBytes;
      const bool is_number = reader.wire_type() == onnx::kVarint;
      if (reader.tag() == onnx::TensorProto::kDims) append_dims(reader, init.dims);
      else if (reader.tag() == onnx::TensorProto::kDataType && is_number) init.element = static_cast<ElementType>(reader.get_int32());
      else if (reader.tag() == onnx::TensorProto::kName && is_bytes) tensor.name = checked_name(onnx::view(reader.get_view()));
      else if (reader.tag() == onnx::TensorProto::kStringData && is_bytes) {
        ++strings;
        reader.skip();
      }
      else if (reader.tag() == onnx::TensorProto::kDataLocation && is_number) init.external = reader.get_int32() == 1;
      else if (reader.tag() == onnx::TensorProto::kRawData && is_bytes) {
        raw = onnx::view(reader.get_view());
        has_raw = true;
      } else if (reader.tag() == onnx::TensorProto::kExternalData && is_bytes) {
        external.push_back(onnx::string_entry(onnx::view(reader.get_view())));
      } else if (reader.tag() == onnx::TensorProto::kSegment) {
        refuse(Code::kUnsupported, "'", options_.name, "' stores tensor '", tensor.name, "' in segments, which nothing reads");
      } else reader.skip();
    }
    if (init.element == ElementType::kString) {
      const auto count = tensor_bytes(ElementType::kUint8, init.dims);
      if (!count || *count != strings || init.external) {
        refuse(Code::kInvalidModel, "the string tensor '", tensor.name, "' in '", options_.name, "' has ", strings,
               " strings", init.external ? " and external data, which strings cannot have"
                                         : ", which is not what its shape needs");
      }
      return tensor;
    }
    const auto size = tensor_bytes(init.element, init.dims);
    if (!size) {
      refuse(Code::kInvalidModel, "tensor '", tensor.name, "' in '", options_.name,
             "' has a negative or overflowing size, or an element type (", static_cast<int32_t>(init.element),
             ") that is not known");
    }
    init.size_bytes = *size;
    weight_bytes_ += std::min(*size, UINT64_MAX - weight_bytes_);
    if (weight_bytes_ > options_.limits.weight_bytes) {
      refuse(Code::kInvalidModel, "the constants of '", options_.name, "' take ", weight_bytes_,
             " bytes or more, more than the limit of ", options_.limits.weight_bytes, " (max_weight_bytes); the last is '",
             tensor.name, "' of ", *size);
    }
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

  std::span<const std::byte> external_data(std::string_view tensor,
                                           const std::vector<std::pair<std::string, std::string>>& entries, uint64_t size) {
    std::string location;
    uint64_t offset = 0;
    uint64_t length = size;
    std::set<std::string> keys;
    for (const auto& [key, value] : entries) {
      // The rule is ONNX Runtime's, which never sees these: what it is handed names the file in our way.
      const bool known = key == "location" || key == "offset" || key == "length" || key == "checksum" || key.starts_with("prepacked");
      if (!known) {
        refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' has an entry '", printable(key),
               "', where there may be location, offset, length and checksum");
      }
      if (!keys.insert(key).second) {
        refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' says its ", key, " twice");
      }
      if (key == "location") location = value;
      if (key == "offset") offset = number(tensor, key, value);
      if (key == "length") length = number(tensor, key, value);
    }
    if (location.empty()) refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' names no file");
    if (length != size) {
      refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' says it has ", length,
             " bytes where its shape needs ", size);
    }
    const std::span<const std::byte> file = external_file(tensor, location).bytes();
    if (offset > file.size() || size > file.size() - offset) {
      refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' needs ", size,
             " bytes from ", offset, " on of '", location, "', which has ", file.size(), " (is it complete?)");
    }
    return file.subspan(offset, size);
  }

  const Mapping& external_file(std::string_view tensor, const std::string& location) {
    if (const auto known = graph_.files.find(location); known != graph_.files.end()) return *known->second;
    std::shared_ptr<Mapping>& file = graph_.files[name(location)];
    if (const auto known = options_.files.find(location); known != options_.files.end()) {
      file = known->second;
      return *file;
    }
    if (options_.base_directory.empty()) {
      refuse(Code::kInvalidArgument, "tensor '", tensor, "' of '", options_.name, "' lies in the external file '", location,
             "', and no folder to look for it was given: load the model from its path, or set the base directory");
    }
    namespace fs = std::filesystem;
    const fs::path relative(location);
    for (const auto& part : relative) {
      if (part == ".." || relative.is_absolute()) {
        refuse(Code::kInvalidModel, "external tensor '", tensor, "' in '", options_.name, "' points outside the model's folder: '",
               location, "'");
      }
    }
    // One file may have many spellings.
    std::shared_ptr<Mapping>& opened = opened_[relative.lexically_normal().string()];
    if (opened == nullptr) {
      auto mapping = Mapping::open_inside(options_.base_directory, location, options_.data_folders);
      if (!mapping) {
        Error error = mapping.error();
        error.message += " (external data of tensor '" + std::string(tensor) + "' in '" + options_.name + "')";
        throw ReadFailure{std::move(error)};
      }
      opened = mapping.take();
    }
    file = opened;
    return *file;
  }

  uint64_t number(std::string_view tensor, const std::string& key, const std::string& text) {
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
  const std::byte* decode(std::string_view name, std::string_view proto, const Initializer& init) {
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
          case onnx::NodeProto::kName: node.name = name(field); break;
          case onnx::NodeProto::kOpType: node.op_type = name(field); break;
          case onnx::NodeProto::kDomain: node.domain = field == "ai.onnx" ? "" : name(field); break;
          case onnx::NodeProto::kOverload: node.overload = name(field); break;
          case onnx::NodeProto::kAttribute:
            count_entry();
            node.attributes.push_back(field);
            break;
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
      count_node(calls_of(node.domain, node.op_type, node.overload));
      graph_.nodes.push_back(std::move(node));
    }
    read_bodies();
    count_calls();
  }

  static std::string describe(const Node& node) {
    return "node '" + node.name + "' (" + (node.domain.empty() ? "" : node.domain + ".") + node.op_type + ")";
  }

  // ---- functions: ONNX Runtime writes their bodies out at each call

  struct Function {
    std::string key;
    uint64_t nodes = 0;          // of its own, bodies of control flow included
    std::vector<size_t> calls;   // indices of functions, once for each call
    uint64_t written_out = 0;    // nodes, with those of all it calls
    uint64_t called = 0;         // how often
    enum { kUnseen, kOpen, kDone } state = kUnseen;
  };

  static std::string function_key(std::string_view domain, std::string_view op, std::string_view overload) {
    std::string key(domain == "ai.onnx" ? "" : domain);
    return key.append(1, '\0').append(op).append(1, '\0').append(overload);
  }

  struct Called {
    std::string domain, op, overload;
  };
  Called called(std::string_view message, uint32_t domain, uint32_t op, uint32_t overload) const {
    Called out;
    pbf_reader reader = reader_of(message);
    while (reader.next()) {
      if (reader.wire_type() != onnx::kBytes) reader.skip();
      else if (reader.tag() == domain) out.domain = name(onnx::view(reader.get_view()));
      else if (reader.tag() == op) out.op = name(onnx::view(reader.get_view()));
      else if (reader.tag() == overload) out.overload = name(onnx::view(reader.get_view()));
      else reader.skip();
    }
    return out;
  }
  Called called_by_node(std::string_view node) const {
    return called(node, onnx::NodeProto::kDomain, onnx::NodeProto::kOpType, onnx::NodeProto::kOverload);
  }

  void read_functions() {
    using F = onnx::FunctionProto;
    for (const std::string_view bytes : graph_.functions) {
      const Called own = called(bytes, F::kDomain, F::kName, F::kOverload);
      functions_.push_back({.key = function_key(own.domain, own.op, own.overload), .nodes = 0, .calls = {}});
      if (!function_ids_.emplace(functions_.back().key, functions_.size() - 1).second) {
        refuse(Code::kInvalidModel, "'", options_.name, "' defines the function '", own.domain, ".", own.op, "' twice");
      }
    }
    for (size_t f = 0; f < functions_.size(); ++f) {
      walk(graph_.functions[f], Message::kFunction, options_.limits.depth, [&](Message kind, std::string_view bytes) {
        if (kind != Message::kNode) return check(kind, bytes);
        count_entry();
        ++functions_[f].nodes;
        const Called call = called_by_node(bytes);
        const auto callee = function_ids_.find(function_key(call.domain, call.op, call.overload));
        if (callee != function_ids_.end()) functions_[f].calls.push_back(callee->second);
      });
    }
    for (size_t f = 0; f < functions_.size(); ++f) write_out(f, 0);
  }

  uint64_t write_out(size_t index, int depth) {
    Function& function = functions_[index];
    if (function.state == Function::kDone) return function.written_out;
    if (function.state == Function::kOpen || depth > kDeepestCalls) {
      refuse(Code::kInvalidModel, "the functions of '", options_.name, "' call ",
             function.state == Function::kOpen ? "themselves" : "each other too deeply", ": '",
             function.key.substr(function.key.find('\0') + 1).c_str(), "'");
    }
    function.state = Function::kOpen;
    function.written_out = function.nodes;
    for (const size_t callee : function.calls) {
      function.written_out = std::min(function.written_out + write_out(callee, depth + 1), UINT64_MAX / 4);
    }
    function.state = Function::kDone;
    callees_first_.push_back(index);
    return function.written_out;
  }

  // Nodes that a call of this operator becomes: 0 unless it is a function.
  uint64_t calls_of(std::string_view domain, std::string_view op, std::string_view overload) {
    if (functions_.empty()) return 0;
    const auto function = function_ids_.find(function_key(domain, op, overload));
    if (function == function_ids_.end()) return 0;
    ++functions_[function->second].called;
    return functions_[function->second].written_out;
  }

  void count_calls() {
    for (auto caller = callees_first_.rbegin(); caller != callees_first_.rend(); ++caller) {
      for (const size_t callee : functions_[*caller].calls) {
        functions_[callee].called = std::min(functions_[callee].called + functions_[*caller].called, UINT64_MAX / 4);
      }
    }
    for (const Function& function : functions_) graph_.function_calls.push_back(function.called);
  }

  // ---- subgraphs: what they read from here, and names that clash

  void read_bodies() {
    NameSet outer;
    int serial = 0;
    for (Node& node : graph_.nodes) {
      SubgraphScan scan;
      for (const std::string_view bytes : node.attributes) {
        walk(bytes, Message::kAttribute, options_.limits.depth, [&](Message kind, std::string_view part) {
          if (kind != Message::kNode) return check(kind, part);
          if (functions_.empty()) return count_node();
          const Called call = called_by_node(part);
          count_node(calls_of(call.domain, call.op, call.overload));
        });
        pbf_reader attribute = reader_of(bytes);
        while (attribute.next()) {
          const bool is_graph = attribute.tag() == onnx::Attribute::kG || attribute.tag() == onnx::Attribute::kGraphs;
          if (!is_graph || attribute.wire_type() != onnx::kBytes) {
            attribute.skip();
            continue;
          }
          node.has_subgraph = true;
          scan_subgraph(onnx::view(attribute.get_view()), options_.limits.depth, scan);
        }
      }
      if (!node.has_subgraph) continue;
      for (const auto& read : scan.reads) {
        const auto it = ids_.find(read);
        if (it == ids_.end()) {
          refuse(Code::kInvalidModel, "a subgraph of ", describe(node), " in '", options_.name, "' reads '", read,
                 "', which nothing makes");
        }
        node.captures.push_back(it->second);
      }
      if (outer.empty()) {
        for (const auto& [known, id] : ids_) outer.emplace(known);
      }
      const bool clash = std::any_of(scan.definitions.begin(), scan.definitions.end(),
                                     [&](const std::string& defined) { return outer.contains(defined); });
      if (!clash) continue;
      for (std::string_view& bytes : node.attributes) {
        bytes = graph_.storage->keep_text(rename_clashes(bytes, outer, serial));
      }
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
  std::unordered_map<std::string_view, ValueId> ids_;  // keys stand in the model
  std::vector<Function> functions_;
  std::map<std::string, size_t> function_ids_;
  std::vector<size_t> callees_first_;
  Files opened_;  // external files, by location in normal form
  uint64_t entries_ = 0;
  uint64_t written_out_ = 0;  // nodes that functions become at their calls
  uint64_t weight_bytes_ = 0;
  uint64_t sparse_bytes_ = 0;
};

}  // namespace

Result<Graph> read_model(std::span<const std::byte> bytes, std::shared_ptr<Storage> storage, const ReadOptions& options) {
  try {
    return Reader(std::move(storage), options).read({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } catch (ReadFailure& failure) {
    return std::move(failure.error);
  } catch (const protozero::exception&) {
    return fail(Code::kInvalidModel, "'", options.name, "' is not an ONNX model, or a truncated or damaged one: its bytes end or break in the middle of a field");
  } catch (const Refused& error) {
    return fail(Code::kInvalidModel, "'", options.name, "' ", error.what());
  } catch (const std::bad_alloc&) {
    return fail(Code::kMemoryBudget, "not enough memory to read '", options.name, "'");
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

namespace {

// Gives the graph the initializers of a copy of its model in which nothing but their places differs; false if that is
// not all there is to do, or not so plain. Half the time of reading the copy again.
bool exchange_initializers(Graph& graph, std::string_view model) {
  if (!graph.functions.empty()) return false;
  if (std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.has_subgraph; })) return false;
  std::unordered_map<std::string_view, std::string_view> protos;
  pbf_reader message = reader_of(model);
  while (message.next(onnx::Model::kGraph, onnx::kBytes)) {
    pbf_reader fields = reader_of(onnx::view(message.get_view()));
    while (fields.next(onnx::GraphProto::kInitializer, onnx::kBytes)) {
      const std::string_view proto = onnx::view(fields.get_view());
      pbf_reader tensor = reader_of(proto);
      while (tensor.next(onnx::TensorProto::kName, onnx::kBytes)) protos[onnx::view(tensor.get_view())] = proto;
    }
  }
  for (const Value& value : graph.values) {
    if (value.initializer == kNone || !graph.initializers[value.initializer].external) continue;
    const auto found = protos.find(value.name);
    if (found == protos.end() || graph.initializers[value.initializer].sparse) return false;
  }
  for (const Value& value : graph.values) {
    if (value.initializer == kNone || !graph.initializers[value.initializer].external) continue;
    graph.initializers[value.initializer].proto = protos.at(value.name);
  }
  graph.model = model;
  return true;
}

}  // namespace

Result<Graph> pin_files(Graph graph, ReadOptions options) {
  if (graph.files.empty()) return graph;
  options.files.clear();
  for (const auto& [location, file] : graph.files) options.files.emplace(pinned_location(*file), file);
  options.base_directory.clear();
  options.limits = Limits::none();
  try {
    Pinned pinned = pin(graph.model, graph.files);
    const std::string_view bytes = graph.storage->keep_text(std::move(pinned.model));
    if (!pinned.written_in && exchange_initializers(graph, bytes)) {
      graph.files = std::move(options.files);
      return graph;
    }
    return read_model(std::as_bytes(std::span(bytes)), graph.storage, options);
  } catch (const Refused& error) {
    return fail(Code::kInvalidModel, "'", options.name, "' ", error.what());
  }
}

}  // namespace plx::graph
