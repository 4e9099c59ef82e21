// Shapes of all tensors in the symbols of the graph's inputs: [batch,sequence,768], [batch*sequence,3072], [past+1].
//
// Nobody derives these: shapes are inferred at three sets of sizes (ort/symbolic_shapes.h), and here the simplest
// formula is sought that gives what was seen at all three. So a formula holds at three sizes, chosen so that roundings
// and coincidences show, and is no proof for all: a limit such as min(sequence, 512) does not show below it.
//
// A symbol stands for one size in all inputs. Within one input it is not trusted twice, because exporters write
// [batch,batch] and mean [batch,sequence]: the second is "batch#2". An open dimension without a name counts as a symbol
// of its own, named after its input and axis: "x.1".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plx/graph/graph.h"
#include "plx/graph/shapes.h"

namespace plx::graph {

// One entry per value: nothing where the rank is not known. A Dim's symbol may be a formula: "2*sequence".
using SymbolicShapes = std::vector<std::optional<std::vector<Dim>>>;

// All symbols of the inputs, each once, in the order in which they come.
std::vector<std::string> symbols_of(const Graph& graph);
// The name of that dimension of that input, empty if it has a size.
std::string symbol_of(const Graph& graph, ValueId input, size_t axis);

inline constexpr size_t kProbes = 3;
using Sizes = std::vector<int64_t>;  // one per symbol

// Sizes to look at. Within one probe they are distinct, and primes or twice a prime, so that products tell what they
// are made of. No remainder is the same in all three probes of a symbol, or what is rounded to a multiple would look
// like "s+1". Usual sizes go beyond 32, so that a picture divided by that is no constant, and stay below 64 for up to
// five symbols; small ones are for models that have no room for that.
enum class Scale { kUsual, kSmall };
std::vector<Sizes> probe_sizes(size_t symbols, Scale scale);  // kProbes of them

// The simplest of: a number, s, s*t, a*s, s+b, a*s*t, a*s+b, for integers a >= 1 and b. Simplest is what has the fewest
// numbers of its own to be chosen; open if nothing fits, or if two equally simple formulas do. `seen` has one size per
// probe, negative where it was open; sizes of symbols are positive.
Dim fit(std::span<const std::string> symbols, std::span<const Sizes> probes, std::span<const int64_t> seen);

// Every value's shape, from what was seen at each probe. Without any probe, and where nothing fits, as the model
// declares it, unless what was seen says otherwise.
SymbolicShapes symbolic_shapes(const Graph& graph, std::span<const Sizes> probes, std::span<const PartialShapes> seen);

}  // namespace plx::graph
