// Plans as a person reads them. Runs of layers with one branch each are one line, and lists that would fill screens are
// cut to their largest members, so that a plan of 500 branches stays readable; the JSON form has everything.
#include <algorithm>
#include <cstdio>
#include <map>

#include "plx/partition/format.h"
#include "plx/partition/plan.h"

namespace plx::partition {

namespace {

constexpr size_t kShown = 12;      // branches of one layer, regions given back
constexpr size_t kShortestRun = 3;  // of layers with one branch each, to be condensed

std::string plural(size_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string number_list(const std::vector<int>& list) {
  std::string text;
  for (const int number : list) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

class TextWriter {
 public:
  TextWriter(const Graph& graph, const Plan& plan) : graph_(graph), plan_(plan) {}

  std::string write() {
    head();
    table();
    units();
    if (plan_.options.device) regions();
    layers();
    return std::move(text_);
  }

 private:
  template <class... Parts>
  void line(const Parts&... parts) {
    ((text_ += parts), ...);
    text_ += '\n';
  }

  void head() {
    const Options& o = plan_.options;
    const std::string name = graph_.name.empty() ? "an unnamed graph" : "'" + printable(graph_.name) + "'";
    const std::string device = o.device ? "device '" + printable(o.device->name) + "'" : "no device";
    line("Plan of ", name, ": units ", units_name(o.units), ", rule ", rule_name(o.rule), " (N >= ",
         std::to_string(o.min_nodes), ", Fmax / Fmin <= ", format_ratio(o.beta), "), ", device);
  }

  void table() {
    const Census& c = plan_.cut;
    char row[160];
    line("          nodes  branches  layers  parallel layers  most branches");
    std::snprintf(row, sizeof row, "as cut  %7zu  %8zu  %6zu  %15zu  %13zu", c.nodes, c.branches, c.layers,
                  c.parallel_layers, c.most_branches);
    line(row);
    double all = 0;
    double parallel = 0;
    for (const Branch& branch : plan_.branches) all += branch.flops;
    for (const Layer& layer : plan_.layers) {
      for (const auto& group : layer.groups) {
        for (const int b : group) parallel += plan_.branches[b].flops;
      }
    }
    const std::string share = all > 0 ? ", " + format_ratio(100 * parallel / all) + " % in parallel groups" : "";
    line("FLOPs   ", format_count(all), share);
    if (plan_.unknown_sizes > 0) {
      line("        ", plural(plan_.unknown_sizes, "node counts", "nodes count"), " 0: a size is not known");
    }
  }

  void units() {
    size_t least = SIZE_MAX;
    size_t most = 0;
    size_t crossing = 0;
    for (const Unit& unit : plan_.units) {
      least = std::min(least, unit.nodes.size());
      most = std::max(most, unit.nodes.size());
      crossing += unit.outputs.size();
    }
    std::string sizes;
    if (most > 0) {
      sizes = " of " + (least == most ? "" : std::to_string(least) + " to ") + plural(most, "node", "nodes") + ", " +
              plural(crossing, "tensor leaves its unit", "tensors leave their unit");
    }
    line("units   ", plural(plan_.units.size(), "unit", "units"), sizes, "; ",
         plural(plan_.aliases.size(), "view operator is an alias", "view operators are aliases"));
  }

  void regions() {
    std::vector<int> accepted;
    std::vector<int> refused;
    for (size_t r = 0; r < plan_.regions.size(); ++r) {
      (plan_.regions[r].accepted ? accepted : refused).push_back(static_cast<int>(r));
    }
    line("");
    line("Delegate regions for '", printable(plan_.options.device->name), "': ",
         plural(plan_.regions.size(), "candidate", "candidates"), ", ", std::to_string(accepted.size()), " accepted",
         plan_.options.device->measured ? "; times by measured rates" : "",
         plan_.options.units == Units::kWhole && !accepted.empty() ? " (not cut out: units whole)" : "");
    for (const int r : accepted) region(r);
    const auto larger = [&](int a, int b) { return plan_.regions[a].macs > plan_.regions[b].macs; };
    std::stable_sort(refused.begin(), refused.end(), larger);
    for (size_t i = 0; i < std::min(refused.size(), kShown); ++i) region(refused[i]);
    if (refused.size() > kShown) line("  and ", std::to_string(refused.size() - kShown), " smaller ones given back");
    refusals();
  }

  // Of a device that is there: what it does not take, by reason.
  void refusals() {
    std::map<std::string, std::vector<NodeId>> by_reason;
    for (size_t node = 0; node < plan_.refusals.size(); ++node) {
      if (!plan_.refusals[node].empty()) by_reason[plan_.refusals[node]].push_back(static_cast<NodeId>(node));
    }
    if (by_reason.empty()) return;
    line("Nodes that it does not take, and why:");
    for (const auto& [reason, nodes] : by_reason) {
      const graph::Node& first = graph_.nodes[static_cast<size_t>(nodes.front())];
      line("  ", plural(nodes.size(), "node", "nodes"), ", such as ", printable(first.op_type), " '", printable(first.name, 60), "': ",
           printable(reason, 200));
    }
  }

  void region(int index) {
    const Region& r = plan_.regions[index];
    const std::string tried = r.trial && r.trial->problem.empty() ? "; tried, " + format_seconds(r.trial->device_s) + " and " + format_seconds(r.trial->cpu_s) : "";
    line("  region ", std::to_string(index), ": N ", std::to_string(r.nodes.size()), ", F ", format_count(r.macs),
         " MACs, B ", format_bytes(r.border_bytes), ", device ", format_seconds(r.device_s), ", CPU ",
         format_seconds(r.cpu_s), tried, r.accepted ? ": accepted" : ": given back, " + printable(r.reason, 200));
  }

  void layers() {
    line("");
    line("Layers (N nodes, F FLOPs, B bytes across the border)");
    for (size_t first = 0; first < plan_.layers.size();) {
      size_t end = first;
      while (end < plan_.layers.size() && plan_.layers[end].branches.size() == 1) ++end;
      if (end - first >= kShortestRun) {
        run(first, end);
        first = end;
      } else {
        layer(first++);
      }
    }
  }

  void run(size_t first, size_t end) {
    size_t nodes = 0;
    double flops = 0;
    uint64_t widest = 0;
    for (size_t l = first; l < end; ++l) {
      const Branch& branch = plan_.branches[plan_.layers[l].branches[0]];
      nodes += branch.nodes.size();
      flops += branch.flops;
      widest = std::max(widest, branch.border_bytes);
    }
    line("  layers ", std::to_string(first), " to ", std::to_string(end - 1), ": one branch each, N ",
         std::to_string(nodes), " in all, F ", format_count(flops), " in all, B up to ", format_bytes(widest));
  }

  void layer(size_t index) {
    const Layer& l = plan_.layers[index];
    const std::string me = "  layer " + std::to_string(index) + ": ";
    if (l.branches.size() == 1) {
      line(me, branch(l.branches[0]), "; serial: ", printable(l.reason, 200));
      return;
    }
    std::string verdict = "; serial: " + printable(l.reason, 200);
    if (l.parallel()) {
      verdict = "; parallel:";
      for (const auto& group : l.groups) verdict += " {" + number_list(group) + "}";
    }
    line(me, std::to_string(l.branches.size()), " branches", verdict);
    std::vector<int> shown = l.branches;
    if (shown.size() > kShown) {
      std::stable_sort(shown.begin(), shown.end(),
                       [&](int a, int b) { return plan_.branches[a].flops > plan_.branches[b].flops; });
      shown.resize(kShown);
    }
    for (const int b : shown) line("    ", branch(b));
    if (shown.size() < l.branches.size()) {
      line("    and ", std::to_string(l.branches.size() - shown.size()), " smaller ones");
    }
  }

  std::string branch(int index) const {
    const Branch& b = plan_.branches[index];
    std::string text = "branch " + std::to_string(index) + ", N " + std::to_string(b.nodes.size()) + ", F " +
                       format_count(b.flops) + ", B " + format_bytes(b.border_bytes) + ", ";
    if (b.region >= 0) return text + "region " + std::to_string(b.region);
    text += printable(graph_.nodes[b.nodes.front()].op_type);
    if (b.nodes.size() > 1) text += " to " + printable(graph_.nodes[b.nodes.back()].op_type);
    return text;
  }

  const Graph& graph_;
  const Plan& plan_;
  std::string text_;
};

}  // namespace

std::string to_text(const Graph& graph, const Plan& plan) { return TextWriter(graph, plan).write(); }

}  // namespace plx::partition
