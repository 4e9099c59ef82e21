// The graph: an ONNX model as Parallax sees it.
//
// A Graph is built once by read_model (reader.h) and is immutable afterwards; plans and sessions refer to its nodes and
// values by index. Nodes are stored in a topological order whatever the file's order was. What only ONNX Runtime
// needs to understand (attributes, subgraphs, types of sequences) is kept as the bytes that stood in the file and is
// copied through when a part of the graph is written out again (writer.h); what partitioning and planning need is
// parsed. All views point into `storage`, which owns the mapped file and whatever had to be decoded, so a Graph may be
// moved but not copied.
//
// Threads: immutable after reading, hence free to share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plx/graph/storage.h"

namespace plx::graph {

using ValueId = int32_t;  // index into Graph::values
using NodeId = int32_t;   // index into Graph::nodes
inline constexpr int32_t kNone = -1;

// Numbered as in ONNX's TensorProto.DataType and as plx_element_type.
enum class ElementType : int32_t {
  kUndefined = 0, kFloat32 = 1, kUint8 = 2, kInt8 = 3, kUint16 = 4, kInt16 = 5, kInt32 = 6, kInt64 = 7, kString = 8,
  kBool = 9, kFloat16 = 10, kFloat64 = 11, kUint32 = 12, kUint64 = 13, kComplex64 = 14, kComplex128 = 15,
  kBfloat16 = 16, kFloat8E4M3FN = 17, kFloat8E4M3FNUZ = 18, kFloat8E5M2 = 19, kFloat8E5M2FNUZ = 20, kUint4 = 21,
  kInt4 = 22,
};

const char* element_type_name(ElementType type);  // "float32", "int64", ...; "undefined" for what is not known
// Bits of one element: 4 for uint4 and int4, 0 for strings and undefined.
int element_bits(ElementType type);
// Bytes of a dense tensor, packed types rounded up; nothing on overflow, on a negative dim, or for strings.
std::optional<uint64_t> tensor_bytes(ElementType type, std::span<const int64_t> dims);

// One dimension: a size, a symbol, or nothing known.
struct Dim {
  int64_t size = -1;   // -1: open
  std::string symbol;  // may be empty even when open
  bool known() const { return size >= 0; }
  bool operator==(const Dim&) const = default;
};

enum class Kind { kTensor, kSequence, kOptional, kMap, kSparseTensor, kUnknown };
const char* kind_name(Kind kind);  // "tensor", "sequence", "optional", "map", "sparse_tensor", "unknown"

struct Type {
  Kind kind = Kind::kUnknown;
  ElementType element = ElementType::kUndefined;  // of a tensor
  std::optional<std::vector<Dim>> shape;          // nothing: the rank is not known
  std::string_view proto;                         // the TypeProto, to be written out again; empty if none was given
};

// A constant of the graph.
struct Initializer {
  ElementType element = ElementType::kUndefined;
  std::vector<int64_t> dims;
  uint64_t size_bytes = 0;            // of the dense data; 0 for strings
  const std::byte* data = nullptr;    // dense little-endian, aligned to 64 bytes or to its place in a mapped file; null for
                                      // strings, and for what the reader was told not to load
  std::string_view proto;             // the TensorProto (a SparseTensorProto if sparse) as it stood in the file
  bool external = false;              // the data lies in another file
  bool sparse = false;                // no dense data here
};

struct Value {
  std::string name;
  Type type;                    // as declared or inferred; Kind::kUnknown if neither
  NodeId producer = kNone;      // kNone: graph input, initializer, or both
  int32_t initializer = kNone;  // index into Graph::initializers
  bool is_input = false;        // a graph input (an initializer may be one too: then it is a default)
  bool is_output = false;       // a graph output
  std::vector<NodeId> consumers;  // each node once, ascending; reads by subgraphs count
};

struct Node {
  std::string name;
  std::string op_type;
  std::string domain;             // "" is ai.onnx
  std::string overload;
  std::vector<ValueId> inputs;    // kNone where an optional input is left out
  std::vector<ValueId> outputs;   // kNone likewise
  std::vector<ValueId> captures;  // what its subgraphs read from this graph, each once; not in inputs
  std::vector<std::string_view> attributes;  // AttributeProto bytes each
  bool has_subgraph = false;      // If, Loop, Scan and whatever else carries a graph
};

struct Graph {
  std::string name;
  int64_t ir_version = 0;
  std::string producer;
  std::map<std::string, int64_t> opsets;    // domain -> version
  std::vector<std::string_view> functions;  // FunctionProto bytes, copied through
  std::vector<uint64_t> function_calls;     // how often the body of each is written out, at all depths
  std::vector<std::string_view> metadata;   // StringStringEntryProto bytes of the model
  std::vector<Node> nodes;                  // topologically sorted
  std::vector<Value> values;
  std::vector<Initializer> initializers;
  std::vector<ValueId> inputs;   // in the file's order, without those that merely give an initializer a type
  std::vector<ValueId> outputs;  // in the file's order
  std::shared_ptr<Storage> storage;
  std::string_view model;        // the ModelProto that all this was read from
  Files files;                   // of external data at any depth, by the locations that the model gives

  // Nodes of subgraphs are counted too.
  size_t total_nodes = 0;
};

// The graph as far as it can be talked about: names, types and edges without weights, attributes and protos. It has no
// storage, so that whoever keeps it keeps no file mapped.
Graph outline(const Graph& graph);

// Gives the pages back that hold nothing but this constant, if it lies in a mapped file: for whoever has made a copy.
void give_back_pages(const Graph& graph, const Initializer& constant);

// ---- attributes, parsed when asked for -------------------------------------------------------------------------------
std::optional<int64_t> int_attribute(const Node& node, std::string_view name);
std::optional<float> float_attribute(const Node& node, std::string_view name);
std::optional<std::string> string_attribute(const Node& node, std::string_view name);
std::optional<std::vector<int64_t>> ints_attribute(const Node& node, std::string_view name);
std::optional<std::vector<float>> floats_attribute(const Node& node, std::string_view name);

// The nodes that `node` depends on (producers of its inputs and captures) and that depend on it; each once, ascending.
std::vector<NodeId> predecessors(const Graph& graph, NodeId node);
std::vector<NodeId> successors(const Graph& graph, NodeId node);

// Operators that only relabel their first input's bytes: Reshape, Squeeze, Unsqueeze, Flatten, Identity (ai.onnx).
// Such a node can be an alias in a plan instead of work in a unit.
bool is_view(const Node& node);

}  // namespace plx::graph
