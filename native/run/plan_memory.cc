// plx-plan-memory: how good the memory planner's plans are, and how long they take, for problems in files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "plx/memory/planner.h"

namespace {

namespace memory = plx::memory;

constexpr int kMissed = 1;
constexpr int kImpossible = 2;

struct Found {
  uint64_t bytes = 0;
  double ms = 0;
};

Found search(const memory::Problem& problem, uint64_t work, int times) {
  Found found;
  for (int run = 0; run < times; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const auto solution = memory::plan(problem, work);
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (!solution) throw std::runtime_error(solution.error().message);
    if (const auto sound = memory::validate(problem, *solution); !sound) throw std::runtime_error("the plan is wrong: " + sound.error().message);
    found.bytes = solution->total_bytes;
    found.ms = run == 0 ? ms : std::min(found.ms, ms);
  }
  return found;
}

nlohmann::json measure(const std::string& path, int times) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("it cannot be read");
  auto problem = memory::from_text(text.str());
  if (!problem) throw std::runtime_error(problem.error().message);
  if (problem->conflicts == nullptr) problem->conflicts = std::make_shared<memory::Conflicts>(problem->buffers);
  const uint64_t bound = memory::lower_bound(*problem);
  const Found quick = search(*problem, memory::kQuickSearch, times);
  const Found thorough = search(*problem, memory::kThoroughSearch, times);
  return {{"problem", std::filesystem::path(path).stem().string()},
          {"buffers", problem->buffers.size()},
          {"one_buffer_each_bytes", memory::naive_bytes(*problem)},
          {"lower_bound_bytes", bound},
          {"quick_bytes", quick.bytes},
          {"quick_ms", quick.ms},
          {"thorough_bytes", thorough.bytes},
          {"thorough_ms", thorough.ms}};
}

double ratio(const nlohmann::json& row, const char* bytes) {
  const auto bound = row.at("lower_bound_bytes").get<double>();
  return bound == 0 ? 1 : row.at(bytes).get<double>() / bound;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  std::string json;
  double most = 0;
  int times = 5;
  CLI::App app{"Plans memory for problems in files (plx-run --problem writes them; memory/planner.h has the format), by the quick\n"
               "search that a session makes for each set of shapes, and the thorough one that it makes for those it keeps running.", "plx-plan-memory"};
  app.add_option("FILE", files, "Problems")->required();
  app.add_option("--check", most, "Exit with 1 if a thorough plan takes more than this many times its lower bound, such as 1.05");
  app.add_option("--repeat", times, "How often each search is made; the fastest counts, since its work is always the same")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", json, "File for all figures");
  app.footer("Exit status: 0 all is well, 1 a plan is too large, 2 something cannot be read or is no problem.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kImpossible;
  }
  std::sort(files.begin(), files.end());
  nlohmann::json rows = nlohmann::json::array();
  std::puts("| problem | buffers | a buffer each, MB | lower bound, MB | quick | ms | thorough | ms |");
  std::puts("|---|--:|--:|--:|--:|--:|--:|--:|");
  int status = 0;
  for (const std::string& file : files) {
    try {
      const nlohmann::json row = measure(file, times);
      std::printf("| %s | %d | %.2f | %.2f | %.3f | %.2f | %.3f | %.2f |\n", row["problem"].get<std::string>().c_str(), row["buffers"].get<int>(),
                  row["one_buffer_each_bytes"].get<double>() / 1e6, row["lower_bound_bytes"].get<double>() / 1e6, ratio(row, "quick_bytes"),
                  row["quick_ms"].get<double>(), ratio(row, "thorough_bytes"), row["thorough_ms"].get<double>());
      rows.push_back(row);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "plx-plan-memory: %s: %s\n", file.c_str(), error.what());
      return kImpossible;
    }
  }
  std::puts("\nQuick and thorough: the plan over its lower bound, and the time that finding it took.");
  for (const nlohmann::json& row : rows) {
    if (most == 0 || ratio(row, "thorough_bytes") <= most) continue;
    std::printf("MISSED: %s takes %.3f times its lower bound; at most %.3f\n", row["problem"].get<std::string>().c_str(),
                ratio(row, "thorough_bytes"), most);
    status = kMissed;
  }
  if (!json.empty()) {
    std::ofstream out(json);
    out << rows.dump(1) << "\n";
    if (!out.flush()) {
      std::fprintf(stderr, "plx-plan-memory: --json %s cannot be written\n", json.c_str());
      return kImpossible;
    }
  }
  return status;
}
