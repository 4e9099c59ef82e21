#include "plx/graph/symbolic_shapes.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

namespace plx::graph {

namespace {

// The first `count` primes from `from` on.
std::vector<int64_t> primes(size_t count, int64_t from) {
  std::vector<int64_t> found;
  for (int64_t n = from; found.size() < count; ++n) {
    bool prime = n > 1;
    for (int64_t d = 2; prime && d * d <= n; ++d) prime = n % d != 0;
    if (prime) found.push_back(n);
  }
  return found;
}

// Whether one symbol's sizes at the probes are a straight line in another's: then a*s+b could mean either.
bool on_a_line(const Sizes& s, const Sizes& t) {
  return (s[1] - s[0]) * (t[2] - t[0]) == (s[2] - s[0]) * (t[1] - t[0]);
}

// What gives the sizes seen: a formula's text and how many numbers of its own it has.
class Fit {
 public:
  void offer(int numbers, std::string text) {
    if (numbers > numbers_) return;
    ambiguous_ = numbers == numbers_;
    numbers_ = numbers;
    text_ = std::move(text);
  }
  Dim dim() const { return {-1, ambiguous_ ? "" : text_}; }

 private:
  int numbers_ = INT32_MAX;
  bool ambiguous_ = false;
  std::string text_;
};

}  // namespace

std::string symbol_of(const Graph& graph, ValueId input, size_t axis) {
  const Value& value = graph.values[input];
  const std::vector<Dim>& shape = *value.type.shape;
  const Dim& dim = shape[axis];
  if (dim.known()) return {};
  if (dim.symbol.empty()) return value.name + "." + std::to_string(axis);
  const auto before = std::count(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis), dim);
  return before == 0 ? dim.symbol : dim.symbol + "#" + std::to_string(before + 1);
}

std::vector<std::string> symbols_of(const Graph& graph) {
  std::vector<std::string> symbols;
  std::unordered_set<std::string> seen;
  for (const ValueId input : graph.inputs) {
    const auto& shape = graph.values[input].type.shape;
    for (size_t axis = 0; shape && axis < shape->size(); ++axis) {
      std::string symbol = symbol_of(graph, input, axis);
      if (symbol.empty() || !seen.insert(symbol).second) continue;
      symbols.push_back(std::move(symbol));
    }
  }
  return symbols;
}

std::vector<Sizes> probe_sizes(size_t symbols, Scale scale) {
  const bool usual = scale == Scale::kUsual;
  const std::vector<int64_t> low = primes(symbols, usual ? 5 : 3);
  const int64_t above = low.empty() ? 0 : low.back() + 1;
  const std::vector<int64_t> high = primes(symbols, std::max<int64_t>(above, usual ? 41 : 11));
  // Each symbol before refuses two at most, and divisors of the distance fewer than half of the rest: there is a next.
  const std::vector<int64_t> halves = primes(8 * symbols + 64, usual ? 11 : 2);
  std::vector<Sizes> of_symbol;
  std::vector<bool> taken(halves.size());
  for (size_t k = 0; k < symbols; ++k) {
    for (size_t i = 0; i < halves.size(); ++i) {
      Sizes sizes = {low[k], 2 * halves[i], high[k]};
      if (taken[i] || std::gcd(sizes[1] - sizes[0], sizes[2] - sizes[0]) != 1) continue;
      const auto clashes = [&](const Sizes& other) { return on_a_line(other, sizes); };
      if (std::any_of(of_symbol.begin(), of_symbol.end(), clashes)) continue;
      taken[i] = true;
      of_symbol.push_back(std::move(sizes));
      break;
    }
  }
  std::vector<Sizes> probes(kProbes);
  for (size_t p = 0; p < kProbes; ++p) {
    for (const Sizes& sizes : of_symbol) probes[p].push_back(sizes[p]);
  }
  return probes;
}

Dim fit(std::span<const std::string> symbols, std::span<const Sizes> probes, std::span<const int64_t> seen) {
  const auto times = [](int64_t factor) { return factor == 1 ? std::string() : std::to_string(factor) + "*"; };
  const auto plus = [](int64_t b) { return b == 0 ? std::string() : (b > 0 ? "+" : "") + std::to_string(b); };
  if (std::any_of(seen.begin(), seen.end(), [](int64_t size) { return size < 0; })) return {};
  if (std::all_of(seen.begin(), seen.end(), [&](int64_t size) { return size == seen[0]; })) return {seen[0], {}};
  // What is written into a model can be any number; beyond this one, products below would be none.
  if (std::any_of(seen.begin(), seen.end(), [](int64_t size) { return size > int64_t{1} << 36; })) return {};
  Fit best;
  for (size_t s = 0; s < symbols.size(); ++s) {
    const int64_t step = probes[1][s] - probes[0][s];
    const int64_t a = step == 0 ? 0 : (seen[1] - seen[0]) / step;
    const int64_t b = seen[0] - a * probes[0][s];
    bool fits = a >= 1;
    for (size_t p = 0; p < seen.size(); ++p) fits = fits && seen[p] == a * probes[p][s] + b;
    if (fits) best.offer((a != 1) + (b != 0), times(a) + symbols[s] + plus(b));
    for (size_t t = s; t < symbols.size(); ++t) {
      const int64_t factor = seen[0] / (probes[0][s] * probes[0][t]);
      fits = factor >= 1;
      for (size_t p = 0; p < seen.size(); ++p) fits = fits && seen[p] == factor * probes[p][s] * probes[p][t];
      if (fits) best.offer(factor != 1, times(factor) + symbols[s] + "*" + symbols[t]);
    }
  }
  return best.dim();
}

SymbolicShapes symbolic_shapes(const Graph& graph, std::span<const Sizes> probes, std::span<const PartialShapes> seen) {
  const std::vector<std::string> symbols = symbols_of(graph);
  SymbolicShapes shapes(graph.values.size());
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const Value& value = graph.values[id];
    shapes[id] = value.type.shape;
    if (value.initializer != kNone) {
      shapes[id].emplace();
      for (const int64_t size : graph.initializers[value.initializer].dims) shapes[id]->push_back({size, {}});
      continue;
    }
    if (value.is_input) {
      for (size_t axis = 0; shapes[id] && axis < shapes[id]->size(); ++axis) {
        (*shapes[id])[axis].symbol = symbol_of(graph, static_cast<ValueId>(id), axis);
      }
      continue;
    }
    bool ranked = !seen.empty();
    for (const PartialShapes& probe : seen) ranked = ranked && probe[id] && probe[id]->size() == seen[0][id]->size();
    if (!ranked) continue;
    const size_t rank = seen[0][id]->size();
    if (shapes[id] && shapes[id]->size() != rank) shapes[id].reset();
    if (!shapes[id]) shapes[id].emplace(rank);
    for (size_t axis = 0; axis < rank; ++axis) {
      std::vector<int64_t> sizes;
      for (const PartialShapes& probe : seen) sizes.push_back((*probe[id])[axis]);
      Dim& dim = (*shapes[id])[axis];
      Dim found = fit(symbols, probes, sizes);
      const bool open = !found.known() && found.symbol.empty();
      const bool seen_always = std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 0; });
      // Had the model been right about these, they would have fitted.
      const bool refuted = seen_always &&
                           (dim.known() || std::find(symbols.begin(), symbols.end(), dim.symbol) != symbols.end());
      if (!open || refuted) dim = std::move(found);
    }
  }
  return shapes;
}

}  // namespace plx::graph
