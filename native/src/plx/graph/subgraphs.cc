#include "plx/graph/subgraphs.h"

#include <map>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "plx/graph/messages.h"
#include "plx/graph/onnx_fields.h"

namespace plx::graph {

namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

pbf_reader reader_of(std::string_view bytes) { return pbf_reader{bytes.data(), bytes.size()}; }

std::string name_field(std::string_view message, uint32_t field) {
  pbf_reader reader = reader_of(message);
  if (!reader.next(field, onnx::kBytes)) return {};
  return reader.get_string();
}

// The names of one graph and what they become; names of the graphs around it lead on outwards. A chain, because a copy
// of all outer names for every body would make reading quadratic.
struct Scope {
  const Scope* outer = nullptr;
  std::map<std::string, std::string, std::less<>> names;
  const NameSet* taken = nullptr;  // what `names` leads to; of the outermost graph all names, which stay as they are

  bool is_taken(std::string_view name) const { return taken->contains(name) || (outer != nullptr && outer->is_taken(name)); }
  std::string_view renamed(std::string_view name) const {
    const auto it = names.find(name);
    if (it != names.end()) return it->second;
    return outer == nullptr ? name : outer->renamed(name);
  }
};

// Copies a message, with the string in `field` renamed.
std::string with_renamed(std::string_view message, uint32_t field, const Scope& scope) {
  std::string out;
  pbf_writer writer{out};
  pbf_reader in = reader_of(message);
  while (in.next()) {
    if (in.tag() == field && in.wire_type() == onnx::kBytes) writer.add_string(field, std::string(scope.renamed(onnx::view(in.get_view()))));
    else onnx::copy_field(in, writer);
  }
  return out;
}

std::string rewrite_graph(std::string_view graph_proto, const Scope& outer, int& serial);

std::string rewrite_attribute(std::string_view attribute_proto, const Scope& scope, int& serial) {
  std::string out;
  pbf_writer writer{out};
  pbf_reader in = reader_of(attribute_proto);
  while (in.next()) {
    const auto tag = in.tag();
    if ((tag == onnx::Attribute::kG || tag == onnx::Attribute::kGraphs) && in.wire_type() == onnx::kBytes) {
      writer.add_message(tag, rewrite_graph(onnx::view(in.get_view()), scope, serial));
    } else {
      onnx::copy_field(in, writer);
    }
  }
  return out;
}

std::string rewrite_node(std::string_view node_proto, const Scope& scope, int& serial) {
  std::string out;
  pbf_writer writer{out};
  pbf_reader in = reader_of(node_proto);
  while (in.next()) {
    const auto tag = in.tag();
    const bool bytes = in.wire_type() == onnx::kBytes;
    if (bytes && (tag == onnx::NodeProto::kInput || tag == onnx::NodeProto::kOutput)) {
      writer.add_string(tag, std::string(scope.renamed(onnx::view(in.get_view()))));
    } else if (bytes && tag == onnx::NodeProto::kAttribute) {
      writer.add_message(tag, rewrite_attribute(onnx::view(in.get_view()), scope, serial));
    } else {
      onnx::copy_field(in, writer);
    }
  }
  return out;
}

std::string rewrite_graph(std::string_view graph_proto, const Scope& outer, int& serial) {
  const NameSet local = local_definitions(graph_proto);
  NameSet taken;
  Scope scope{.outer = &outer, .names = {}, .taken = &taken};
  for (const auto& name : local) {
    std::string fresh = name;
    if (outer.is_taken(name)) {
      do fresh = name + "/local" + std::to_string(serial++);
      while (outer.is_taken(fresh) || local.contains(fresh));
    }
    taken.insert(fresh);
    scope.names.emplace(name, std::move(fresh));  // from here on the name means the local value
  }

  std::string out;
  pbf_writer writer{out};
  pbf_reader in = reader_of(graph_proto);
  while (in.next()) {
    const auto tag = in.tag();
    if (in.wire_type() != onnx::kBytes) {
      onnx::copy_field(in, writer);
      continue;
    }
    const std::string_view bytes = onnx::view(in.get_view());
    switch (tag) {
      case onnx::GraphProto::kNode: writer.add_message(tag, rewrite_node(bytes, scope, serial)); break;
      case onnx::GraphProto::kInput:
      case onnx::GraphProto::kOutput:
      case onnx::GraphProto::kValueInfo:
        writer.add_message(tag, with_renamed(bytes, onnx::ValueInfo::kName, scope));
        break;
      case onnx::GraphProto::kInitializer:
        writer.add_message(tag, with_renamed(bytes, onnx::TensorProto::kName, scope));
        break;
      case onnx::GraphProto::kSparseInitializer: {
        std::string sparse;
        pbf_writer sparse_writer{sparse};
        pbf_reader sparse_in = reader_of(bytes);
        while (sparse_in.next()) {
          if (sparse_in.tag() == onnx::SparseTensor::kValues && sparse_in.wire_type() == onnx::kBytes) {
            sparse_writer.add_message(onnx::SparseTensor::kValues,
                                      with_renamed(onnx::view(sparse_in.get_view()), onnx::TensorProto::kName, scope));
          } else {
            onnx::copy_field(sparse_in, sparse_writer);
          }
        }
        writer.add_message(tag, sparse);
        break;
      }
      default: writer.add_bytes(tag, bytes.data(), bytes.size());
    }
  }
  return out;
}

}  // namespace

NameSet local_definitions(std::string_view graph_proto) {
  NameSet names;
  pbf_reader graph = reader_of(graph_proto);
  while (graph.next()) {
    if (graph.wire_type() != onnx::kBytes) {
      graph.skip();
      continue;
    }
    const auto tag = graph.tag();
    const std::string_view bytes = onnx::view(graph.get_view());
    switch (tag) {
      case onnx::GraphProto::kInput: names.insert(name_field(bytes, onnx::ValueInfo::kName)); break;
      case onnx::GraphProto::kInitializer: names.insert(name_field(bytes, onnx::TensorProto::kName)); break;
      case onnx::GraphProto::kSparseInitializer: {
        pbf_reader sparse = reader_of(bytes);
        if (sparse.next(onnx::SparseTensor::kValues, onnx::kBytes)) {
          names.insert(name_field(onnx::view(sparse.get_view()), onnx::TensorProto::kName));
        }
        break;
      }
      case onnx::GraphProto::kNode: {
        pbf_reader node = reader_of(bytes);
        while (node.next(onnx::NodeProto::kOutput, onnx::kBytes)) names.insert(node.get_string());
        break;
      }
      default: break;
    }
  }
  names.erase("");
  return names;
}

void scan_subgraph(std::string_view graph_proto, int max_depth, SubgraphScan& scan) {
  if (max_depth <= 0) throw Refused("nests subgraphs too deeply");
  const NameSet local = local_definitions(graph_proto);
  scan.definitions.insert(local.begin(), local.end());
  SubgraphScan inner;
  pbf_reader graph = reader_of(graph_proto);
  while (graph.next()) {
    if (graph.wire_type() != onnx::kBytes) {
      graph.skip();
      continue;
    }
    const auto tag = graph.tag();
    const std::string_view bytes = onnx::view(graph.get_view());
    if (tag == onnx::GraphProto::kOutput) {
      inner.reads.insert(name_field(bytes, onnx::ValueInfo::kName));
    } else if (tag == onnx::GraphProto::kNode) {
      pbf_reader node = reader_of(bytes);
      while (node.next()) {
        if (node.wire_type() != onnx::kBytes) {
          node.skip();
          continue;
        }
        const auto node_tag = node.tag();
        const std::string_view field = onnx::view(node.get_view());
        if (node_tag == onnx::NodeProto::kInput) inner.reads.emplace(field);
        if (node_tag != onnx::NodeProto::kAttribute) continue;
        pbf_reader attribute = reader_of(field);
        while (attribute.next()) {
          const bool is_graph = attribute.tag() == onnx::Attribute::kG || attribute.tag() == onnx::Attribute::kGraphs;
          if (is_graph && attribute.wire_type() == onnx::kBytes) {
            scan_subgraph(onnx::view(attribute.get_view()), max_depth - 1, inner);
          } else {
            attribute.skip();
          }
        }
      }
    }
  }
  for (const auto& name : inner.reads) {
    if (!name.empty() && !local.contains(name)) scan.reads.insert(name);
  }
  scan.definitions.insert(inner.definitions.begin(), inner.definitions.end());
}

std::string rename_clashes(std::string_view attribute_proto, const NameSet& outer, int& serial) {
  return rewrite_attribute(attribute_proto, Scope{.outer = nullptr, .names = {}, .taken = &outer}, serial);
}

}  // namespace plx::graph
