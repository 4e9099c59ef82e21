// plx-run: one model on one engine in one process, and what that took.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "engine.h"
#include "inputs.h"
#include "plx/base/process_memory.h"
#include "watch.h"

namespace {

using plx::run::Engine;

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kOverBudget = 3;

struct Arguments {
  plx::run::Options engine_options;
  std::string engine = "parallax";
  std::vector<std::string> shapes;
  std::string problem;
  int runs = 20;
  int warm_ups = 5;
  uint32_t seed = 42;
};

nlohmann::json measure(const Arguments& arguments) {
  if (arguments.engine == "ort" && (arguments.engine_options.memory_budget_bytes != 0 || arguments.engine_options.memory_margin != 0)) {
    throw plx::run::Failure("--memory-budget and --memory-margin: ONNX Runtime keeps none; they go with --engine parallax");
  }
  if (arguments.engine == "ort" && !arguments.engine_options.cache_folder.empty()) {
    throw plx::run::Failure("--cache: it keeps what Parallax packs; it goes with --engine parallax");
  }
  plx::run::Shapes shapes;
  for (const std::string& shape : arguments.shapes) plx::run::add_shape(shapes, shape);
  const uint64_t anon_before = plx::process_memory().rss_anon;
  plx::run::Watch watch;
  const double start = now_ms();
  std::vector<plx::run::Input> inputs;
  const std::unique_ptr<Engine> engine = arguments.engine == "ort" ? plx::run::plain(arguments.engine_options)
                                                                   : plx::run::parallax(arguments.engine_options);
  inputs = plx::run::make_up(engine->inputs(), shapes, arguments.seed);
  engine->prepare(inputs);
  const double ready = now_ms();
  const uint64_t anon_ready = plx::process_memory().rss_anon;
  plx::run::Watch running;
  std::vector<double> times;
  nlohmann::json refused;
  try {
    for (int run = 0; run < arguments.warm_ups + arguments.runs; ++run) {
      const double begin = now_ms();
      engine->run();
      if (run >= arguments.warm_ups) times.push_back(now_ms() - begin);
    }
  } catch (const plx::run::OverBudget& over) {
    refused = {{"requested_bytes", over.requested_bytes}, {"available_bytes", over.available_bytes}, {"message", over.what()}};
    times.clear();
  }
  const plx::ProcessMemory after = plx::process_memory();
  watch.stop();
  running.stop();
  std::sort(times.begin(), times.end());
  if (!arguments.problem.empty()) {
    std::ofstream file(arguments.problem);
    file << engine->memory_problem();
    if (!file.flush()) throw plx::run::Failure("--problem " + arguments.problem + ": it cannot be written");
  }
  char digest[17] = "";
  if (refused.is_null()) std::snprintf(digest, sizeof digest, "%016llx", static_cast<unsigned long long>(engine->digest()));
  return {{"model", arguments.engine_options.model},
          {"engine", arguments.engine},
          {"units", arguments.engine == "ort" ? "" : arguments.engine_options.units},
          {"threads", arguments.engine_options.threads},
          {"runs", arguments.runs},
          {"ready_ms", ready - start},
          {"median_ms", times.empty() ? nlohmann::json() : nlohmann::json(times[times.size() / 2])},
          {"refused", refused},
          {"vm_hwm_bytes", after.vm_hwm},
          {"rss_anon_before_bytes", anon_before},
          {"rss_anon_ready_bytes", anon_ready},
          {"rss_anon_bytes", after.rss_anon},
          {"rss_anon_peak_bytes", std::max(watch.most_anon(), after.rss_anon)},
          // What running added, at its peak, to what loading the model had left: bytes that a budget is about.
          {"rss_anon_growth_bytes", std::max(running.most_anon(), anon_ready) - anon_ready},
          {"rss_file_bytes", after.rss_file},
          {"rss_file_peak_bytes", std::max(watch.most_file(), after.rss_file)},
          {"outputs_digest", digest},
          {"session", engine->report()}};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Runs a model on Parallax or on plain ONNX Runtime, without a JVM, and prints as JSON how long that took and\n"
               "how much memory: VmHWM, RssAnon (its peak looked at every millisecond), and what the arenas held.", "plx-run"};
  app.footer("Exit status: 0 all is well, 2 it could not be run, 3 the memory budget cannot be kept.");
  plx::run::Options& options = arguments.engine_options;
  app.add_option("MODEL", options.model, "An ONNX file")->required();
  app.add_option("--engine", arguments.engine, "parallax or ort")->check(CLI::IsMember({"parallax", "ort"}))->capture_default_str();
  app.add_option("--threads", options.threads, "Size of the pool, the calling thread included; 0 is one per core")
      ->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--runs", arguments.runs, "Timed runs")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warm-ups", arguments.warm_ups, "Runs before them")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--units", options.units, "How Parallax cuts: whole, layers, branches, nodes or mixed")->capture_default_str();
  app.add_option("--side-by-side", options.side_by_side, "Which of Parallax' units may run so: those the plan says, none, or all")
      ->check(CLI::IsMember({"plan", "none", "all"}))->capture_default_str();
  app.add_option("--problem", arguments.problem, "File for the memory planner's problem, after two runs or more");
  app.add_option("--shape", arguments.shapes, "NAME=1x16, repeatable; an open size is 1 if it is the first, else 16");
  app.add_option("--memory-budget", options.memory_budget_bytes, "Bytes that the session's tensors and units may take together; 0 is no limit")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--memory-margin", options.memory_margin, "In place of a number of bytes: this part of what the machine has free stays free, such as 0.4");
  app.add_option("--cache", options.cache_folder, "Folder for packed weights, written by the first process and mapped by later ones");
  app.add_option("--device", options.device, "Where delegate regions run, such as opencl; by default on the CPU");
  app.add_option("--offload", options.offload, "Which of them: those that are predicted to be faster there, all, or none")
      ->check(CLI::IsMember({"auto", "all", "none"}))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Of the inputs' values")->capture_default_str();
  app.add_option("--ort-library", options.ort_library, "libonnxruntime.so; by default what PLX_ORT_LIBRARY names")
      ->envname("PLX_ORT_LIBRARY")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  try {
    const nlohmann::json measured = measure(arguments);
    std::puts(measured.dump(2).c_str());
    if (std::fflush(stdout) != 0) return 2;
    return measured["refused"].is_null() ? 0 : kOverBudget;
  } catch (const plx::run::Failure& failure) {
    std::fprintf(stderr, "plx-run: %s\n", failure.what());
  } catch (const std::bad_alloc&) {
    std::fputs("plx-run: out of memory\n", stderr);
  }
  return 2;
}
