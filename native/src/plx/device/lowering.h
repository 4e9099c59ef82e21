// From a part of a graph to launches of kernels over buffers: what every device with kernels of its own starts from.
//
// A launch names a kernel, the tensors it is given, numbers, and how many work items there are. Kernels and the meaning of
// their arguments are written down in opencl/kernels.cl; another interface to the same kind of device has to bring kernels
// of the same names. View operators are no launches: their output is their input. Functions of one number and arithmetic with a
// tensor that is as large, a scalar or repeats as a whole, one after the other and read by nobody else, are one launch; a matrix
// product takes a bias of one number a column and a function along, a convolution a function.
//
// Numbers are float32, or float16 in memory; other element types can be moved, compared and converted. What cannot be
// lowered is refused with a reason, before anything runs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plx/base/result.h"
#include "plx/device/device.h"

namespace plx::device {

struct Lowered {
  enum class Memory {
    kInput,     // of the part
    kOutput,    // of the part
    kConstant,  // of the graph, or made here
    kArranged,  // made once of constants by `setup`
    kTemporary,
  };
  struct Tensor {
    Memory memory = Memory::kTemporary;
    int index = 0;  // kInput, kOutput: in the part's lists; kConstant: in `constants`
    uint64_t bytes = 0;
    uint64_t offset = 0;  // kTemporary: within temporary_bytes
    int first = -1, last = -1;  // launches that use it
  };
  struct Constant {
    const std::byte* data = nullptr;  // of the graph; else `own`
    std::vector<std::byte> own;
    uint64_t bytes = 0;
    bool only_setup = false;  // nothing but `setup` reads it
  };
  struct Launch {
    const char* kernel = "";
    bool halves = false;  // the kernel's second form: numbers are float16 in memory
    std::vector<int> tensors;  // in the kernel's order
    std::vector<int32_t> ints;
    std::vector<float> floats;
    std::array<uint64_t, 3> items = {1, 1, 1};
    int group = 0;  // work items along the first two axes that are a group; 0: as the device likes
    graph::NodeId node = graph::kNone;
  };
  std::vector<Tensor> tensors;
  std::vector<Constant> constants;
  std::vector<Launch> setup;     // once
  std::vector<Launch> launches;  // each run, in this order
  uint64_t temporary_bytes = 0;
};

// alignment: of the temporaries' offsets, a power of two. kUnsupported, naming the node, for what cannot be lowered.
Result<Lowered> lower(const Part& part, const Tuning& tuning, uint64_t alignment);

// Why a node cannot be lowered; empty if it can.
std::string why_not(const graph::Graph& graph, const graph::Shapes& shapes, graph::NodeId node);

}  // namespace plx::device
