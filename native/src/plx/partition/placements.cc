// Where a user wants operators and regions to run.
#include <charconv>

#include "plx/base/text.h"
#include "plx/partition/plan.h"

namespace plx::partition {

namespace {
constexpr std::string_view kRegion = "region ";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}
}  // namespace

std::string placement_name(const Placement& placement) {
  const std::string what = placement.op.empty() ? std::string(kRegion) + std::to_string(placement.region) : placement.op;
  return what + (placement.on_device ? "=device" : "=cpu");
}

Result<std::vector<Placement>> placements_from_text(std::string_view text) {
  std::vector<Placement> placements;
  while (!trimmed(text).empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto wrong = [&] {
      return fail(Code::kInvalidArgument, "'", printable(one), "' is no placement: write 'Conv=cpu', 'Conv=device', 'region 3=cpu' or 'region 3=device'");
    };
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos) return wrong();
    const std::string_view what = trimmed(one.substr(0, equals));
    const std::string_view where = trimmed(one.substr(equals + 1));
    Placement placement;
    if (where != "cpu" && where != "device") return wrong();
    placement.on_device = where == "device";
    if (what.starts_with(kRegion)) {
      const std::string_view number = what.substr(kRegion.size());
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), placement.region);
      if (error != std::errc() || end != number.data() + number.size() || placement.region < 0) return wrong();
    } else if (what.empty() || what.find(' ') != std::string_view::npos) {
      return wrong();
    } else {
      placement.op = what;
    }
    placements.push_back(std::move(placement));
  }
  return placements;
}

}  // namespace plx::partition
