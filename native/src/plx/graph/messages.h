// Walking a model's messages without parsing them: where nodes and tensors stand, at any depth.
//
// ONNX Runtime reads tensors in more places than a graph's initializers (attributes, bodies, functions), and each of them
// may name an external file. One table knows all places; the reader checks what stands there, and the copy of a model
// that ONNX Runtime gets differs in nothing but the locations of those files.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "plx/graph/storage.h"

namespace plx::graph {

enum class Message { kOther, kModel, kGraph, kNode, kAttribute, kFunction, kTensor, kSparseTensor };

// What the model is refused for, without its name.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Shows every node, tensor and sparse tensor in the message, itself included, outer ones first. Throws Refused if subgraphs are nested
// deeper than max_depth, and for a message that stands twice where it may stand once: protobuf merges the two, so that
// readers would not see the same model. Throws protozero::exception on malformed bytes.
using Visit = std::function<void(Message, std::string_view)>;
void walk(std::string_view bytes, Message kind, int max_depth, const Visit& visit);

// The ModelProto with every external tensor named by this process's descriptor of its file; each must be among the
// `files`. Tensors of bodies, functions and attributes are written into the model instead: ONNX's checker, which ONNX
// Runtime asks about those, takes a descriptor for a link and refuses it. Without the training information, which
// nothing here reads.
struct Pinned {
  std::string model;
  bool written_in = false;  // some tensor was
};
Pinned pin(std::string_view model, const Files& files);
// What such a location is: relative to kPinnedFolder (reader.h).
std::string pinned_location(const Mapping& file);

}  // namespace plx::graph
