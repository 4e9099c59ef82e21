#include "plx/device/tuning.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace plx::device {

namespace {

constexpr int kSizes[] = {4, 8, 16};  // of vectors, and numbers of rows
// Groups and the depth of their tiles, the first ones preferred: larger groups would leave more of themselves idle in the
// products of a single image or sentence.
constexpr std::pair<int, int> kTiles[] = {{8, 16}, {8, 8}, {4, 16}, {4, 8}};
// To be tried, too.
constexpr std::pair<int, int> kMoreTiles[] = {{0, 0}, {16, 8}, {16, 16}, {8, 32}};

bool is_size(int value) { return value == kSizes[0] || value == kSizes[1] || value == kSizes[2]; }

}  // namespace

Tuning tiled(Tuning tuning, uint64_t work_group, uint64_t local_bytes) {
  for (const auto& [group, tile] : kTiles) {
    tuning.group = group;
    tuning.tile = tile;
    if (fits(tuning, work_group, local_bytes)) return tuning;
  }
  tuning.group = 0;
  tuning.tile = 0;
  return tuning;
}

bool fits(const Tuning& tuning, uint64_t work_group, uint64_t local_bytes) {
  if (!is_size(tuning.vector) || !is_size(tuning.rows)) return false;
  if (tuning.group == 0) return tuning.tile == 0;
  if (tuning.group < 0 || tuning.group > 64 || tuning.tile <= 0 || tuning.tile > 64) return false;
  return static_cast<uint64_t>(tuning.group) * static_cast<uint64_t>(tuning.group) <= work_group && tuning.local_bytes() <= local_bytes;
}

std::vector<Tuning> alternatives(const Tuning& tuning, int step, uint64_t work_group, uint64_t local_bytes) {
  std::vector<Tuning> all;
  const auto with = [&](auto change) {
    Tuning one = tuning;
    change(one);
    if (one != tuning && fits(one, work_group, local_bytes)) all.push_back(one);
  };
  if (step == 0) {
    for (const int size : kSizes) with([&](Tuning& one) { one.vector = size; });
  } else if (step == 1) {
    for (const int size : kSizes) with([&](Tuning& one) { one.rows = size; });
  } else {
    const auto tiles = [&](const auto& pair) {
      with([&](Tuning& one) {
        one.group = pair.first;
        one.tile = pair.second;
      });
    };
    for (const auto& pair : kTiles) tiles(pair);
    for (const auto& pair : kMoreTiles) tiles(pair);
  }
  return all;
}

std::string to_text(const Tuning& tuning) {
  std::string text = "vectors of " + std::to_string(tuning.vector) + ", " + std::to_string(tuning.rows) + " rows an item";
  if (tuning.group == 0) return text;
  const std::string group = std::to_string(tuning.group);
  return text + ", tiles " + std::to_string(tuning.tile) + " deep in groups of " + group + " x " + group;
}

std::string to_json(const TriedTuning& tried) {
  const Tuning& tuning = tried.tuning;
  return nlohmann::ordered_json{{"vector", tuning.vector}, {"rows", tuning.rows}, {"group", tuning.group}, {"tile", tuning.tile}, {"ratio", tried.ratio}}.dump();
}

std::optional<TriedTuning> tried_tuning_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  TriedTuning tried;
  for (const auto& [name, field] : {std::pair{"vector", &Tuning::vector}, {"rows", &Tuning::rows}, {"group", &Tuning::group}, {"tile", &Tuning::tile}}) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer()) return std::nullopt;
    const auto number = found->get<int64_t>();
    if (number < 0 || number > 1024) return std::nullopt;
    tried.tuning.*field = static_cast<int>(number);
  }
  const auto ratio = json.find("ratio");
  if (ratio == json.end() || !ratio->is_number()) return std::nullopt;
  tried.ratio = ratio->get<double>();
  if (!(tried.ratio > 0)) return std::nullopt;
  return tried;
}

}  // namespace plx::device
