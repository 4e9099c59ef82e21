// Thousands of mutants of real models: plain ONNX Runtime and Parallax run each, and agree, or both refuse it, or we
// refuse it with a clear error. Nothing that is in a model may end the process.
//
// The mutants run in children of this process, which itself never opens ONNX Runtime (and so may fork): a child that
// dies or hangs names the mutant it was at, which is then run alone, once by either side, so that a death has one
// mutant and one side to its name. Memory of a child is limited, so that a tensor of terabytes is refused and not
// tried.
//
// PLX_MUTATIONS says how many (10,000 with ./plx test --long); PLX_MUTATION=N runs mutant N alone and says what came
// out.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <regex>
#include <sstream>

#include "bases.h"
#include "judge.h"
#include "mutations.h"

namespace plx::fuzz {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
// For one mutant: its processor time, and the time on the clock, which a busy machine stretches.
constexpr rlim_t kLongestSeconds = kSanitized ? 120 : 20;
constexpr auto kLongest = std::chrono::seconds(300);
constexpr rlim_t kMemory = rlim_t{10} << 30;
constexpr int kBatch = 25;

int setting(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoi(text);
}

// A child of this process, and the pipe on which it tells what it does.
struct Child {
  pid_t pid = 0;
  int pipe = -1;
  std::string said;
};

template <class Body>
Child start(Body body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::cout.flush();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("no child");
  if (pid == 0) {
    ::close(ends[0]);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    const rlimit memory{kMemory, kMemory};
    if (!kSanitized) ::setrlimit(RLIMIT_AS, &memory);
    int status = 0;
    try {
      body(ends[1]);
    } catch (const std::exception& error) {
      std::cerr << error.what() << std::endl;
      status = 3;
    }
    ::_exit(status);  // the rest of the process is the parent's business
  }
  ::close(ends[1]);
  return {pid, ends[0], {}};
}

// The next seconds of processor time end this process.
void limit_time() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const rlimit time{static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1 + kLongestSeconds,
                    RLIM_INFINITY};
  ::setrlimit(RLIMIT_CPU, &time);
}

void tell(int pipe, const std::string& line) {
  for (size_t at = 0; at < line.size();) {
    const ssize_t written = ::write(pipe, line.data() + at, line.size() - at);
    if (written <= 0) ::_exit(4);
    at += static_cast<size_t>(written);
  }
}

std::string ending(int status, bool hung) {
  if (hung || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) return "hung";
  if (WIFSIGNALED(status)) return std::string("died of ") + ::strsignal(WTERMSIG(status));
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

class Mutations : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "plx-mutations-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    const bool all = setting("PLX_LONG", 0) != 0;
    const auto names = unpack_real_models(folder_, all);
    Child child = start([&](int) { cut_pieces(folder_, names, all ? 80 : 30); });
    int status = 0;
    ASSERT_EQ(::waitpid(child.pid, &status, 0), child.pid);
    ::close(child.pipe);
    ASSERT_EQ(status, 0) << "no pieces could be cut";
    small_ = small_bases();
    for (Base& base : real_bases(folder_, names)) (base.whole ? whole_ : pieces_).push_back(std::move(base));
    ASSERT_FALSE(pieces_.empty());
  }
  void TearDown() override {
    if (!HasFailure())
      fs::remove_all(folder_);
    else
      std::cout << "the models are in " << folder_ << "\n";
  }

  struct Chosen {
    const Base* base = nullptr;
    Mutant mutant;
    Cut cut;
  };
  Chosen mutant(int index) const {
    std::mt19937 random(static_cast<uint32_t>(index) * 7919u + 17u);
    const uint32_t share = random() % 100;
    const std::vector<Base>& bases = share < 2 ? whole_ : share < 52 ? pieces_ : small_;
    Chosen chosen;
    chosen.base = &bases[random() % bases.size()];
    chosen.mutant = mutate(chosen.base->bytes, random());
    using partition::Units;
    static constexpr Units kUnits[] = {Units::kNodes, Units::kBranches, Units::kNodes, Units::kLayers, Units::kWhole};
    chosen.cut = {kUnits[random() % std::size(kUnits)], random() % 2 == 0 ? 0 : 1};
    return chosen;
  }
  std::string describe(int index) const {
    const Chosen chosen = mutant(index);
    return "mutant " + std::to_string(index) + " of " + chosen.base->name + ", units " +
           partition::units_name(chosen.cut.units) + ", threads " + std::to_string(chosen.cut.threads) + " (" +
           chosen.mutant.what + ")";
  }
  std::string path_of(int index) const { return folder_ + "/mutant-" + std::to_string(index) + ".onnx"; }

  Verdict run(int index, Sides sides, const std::function<void(char)>& side) const {
    const Chosen chosen = mutant(index);
    const std::string path = path_of(index);
    std::ofstream(path, std::ios::binary) << chosen.mutant.bytes;
    Verdict verdict = judge(path, chosen.cut, sides, side);
    if (!is_bug(verdict.outcome)) fs::remove(path);
    return verdict;
  }

  std::string folder_;
  std::vector<Base> small_, pieces_, whole_;
};

// Some mutants, by both sides or one.
struct Task {
  int begin = 0;
  int end = 0;
  Sides sides = Sides::kBoth;
};

struct Fate {
  std::optional<Verdict> verdict;
  std::string in_company;   // how its batch ended
  std::string plain, ours;  // how it ended alone, by side; empty if it did not
};

TEST_F(Mutations, AgreeOrAreRefused) {
  if (const int only = setting("PLX_MUTATION", -1); only >= 0) {
    std::cout << describe(only) << std::endl;
    const Verdict verdict = run(only, Sides::kBoth, [](char side) { std::cout << "side " << side << std::endl; });
    std::cout << outcome_name(verdict.outcome) << ": " << verdict.text << std::endl;
    ASSERT_FALSE(is_bug(verdict.outcome));
    return;
  }
  const bool long_form = setting("PLX_LONG", 0) != 0;
  const int count = setting("PLX_MUTATIONS", long_form ? (kSanitized ? 1000 : 10000) : kSanitized ? 40 : 250);
  const size_t lanes = static_cast<size_t>(setting("PLX_MUTATION_LANES", 2));
  const int first = setting("PLX_MUTATION_FIRST", 0);

  std::deque<Task> todo;
  for (int i = first; i < first + count; i += kBatch)
    todo.push_back({i, std::min(i + kBatch, first + count), Sides::kBoth});
  std::map<int, Fate> fates;
  struct Lane {
    Task task;
    Child child;
    int at = 0;  // the mutant it is at
    Clock::time_point since;
    bool hung = false;
  };
  std::vector<Lane> running;
  auto shown = Clock::now();
  while (!todo.empty() || !running.empty()) {
    while (running.size() < lanes && !todo.empty()) {
      const Task task = todo.front();
      todo.pop_front();
      Child child = start([&](int pipe) {
        for (int i = task.begin; i < task.end; ++i) {
          limit_time();
          const Verdict verdict =
              run(i, task.sides, [&](char side) { tell(pipe, std::string(1, side) + " " + std::to_string(i) + "\n"); });
          tell(pipe, "v " + std::to_string(i) + " " + std::to_string(static_cast<int>(verdict.outcome)) + " " +
                         verdict.text + "\n");
        }
      });
      running.push_back({task, std::move(child), task.begin, Clock::now(), false});
    }
    std::vector<pollfd> polls;
    for (const Lane& lane : running) polls.push_back({lane.child.pipe, POLLIN, 0});
    ::poll(polls.data(), polls.size(), 500);
    for (size_t n = running.size(); n-- > 0;) {
      Lane& lane = running[n];
      bool over = false;
      if (polls[n].revents != 0) {
        char buffer[4096];
        const ssize_t got = ::read(lane.child.pipe, buffer, sizeof buffer);
        if (got > 0)
          lane.child.said.append(buffer, static_cast<size_t>(got));
        else
          over = true;
      }
      for (size_t end; (end = lane.child.said.find('\n')) != std::string::npos;) {
        std::istringstream line(lane.child.said.substr(0, end));
        lane.child.said.erase(0, end + 1);
        char what = 0;
        int outcome = 0;
        line >> what >> lane.at;
        lane.since = Clock::now();
        if (what != 'v') continue;
        line >> outcome >> std::ws;
        std::string text;
        std::getline(line, text);
        if (lane.task.sides == Sides::kBoth) fates[lane.at].verdict = Verdict{static_cast<Outcome>(outcome), text};
        ++lane.at;
      }
      if (!over && !lane.hung && Clock::now() - lane.since > kLongest) {
        lane.hung = true;
        ::kill(lane.child.pid, SIGKILL);
      }
      if (!over) continue;
      int status = 0;
      ::waitpid(lane.child.pid, &status, 0);
      ::close(lane.child.pipe);
      if (lane.hung || status != 0) {
        const std::string how = ending(status, lane.hung);
        lane.at = std::min(lane.at, lane.task.end - 1);
        Fate& fate = fates[lane.at];
        if (lane.task.sides == Sides::kBoth) {
          fate.in_company = how;
          todo.push_front({lane.at, lane.at + 1, Sides::kPlain});
          todo.push_front({lane.at, lane.at + 1, Sides::kParallax});
          if (lane.at + 1 < lane.task.end) todo.push_back({lane.at + 1, lane.task.end, Sides::kBoth});
        } else {
          (lane.task.sides == Sides::kPlain ? fate.plain : fate.ours) = how;
        }
      }
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(n));
    }
    if (long_form && Clock::now() - shown > std::chrono::seconds(30)) {
      shown = Clock::now();
      std::cout << fates.size() << " of " << count << " mutants" << std::endl;
    }
  }

  // The table.
  std::map<std::string, int> table;
  std::map<std::string, std::pair<int, int>> reasons;  // why only we refuse: how many, the first of them
  const std::regex particular("'[^']*'|[0-9]+|\\[[^\\]]*\\]|\\([^)]*\\)");
  for (const auto& [index, fate] : fates) {
    if (!fate.in_company.empty()) {
      const bool hang = fate.plain == "hung";
      std::string row = "ONNX Runtime itself " + std::string(hang ? "does not end" : "dies") +
                        (fate.ours.empty() ? ", we live" : ", and so do we");
      if (fate.plain.empty()) row = fate.ours.empty() ? "died in company only" : "we die, ONNX Runtime does not";
      ++table[row];
      std::cout << describe(index) << ": " << row << " (" << fate.in_company << "; alone: ONNX Runtime " << fate.plain
                << ", we " << fate.ours << ")\n";
      // What takes for ever in ONNX Runtime may take for ever here.
      if (!(hang && fate.ours == "hung") && (!fate.ours.empty() || fate.plain.empty()))
        ADD_FAILURE() << describe(index) << ": " << row;
      continue;
    }
    ++table[outcome_name(fate.verdict->outcome)];
    if (fate.verdict->outcome == Outcome::kOnlyWeRefuse) {
      const std::string reason = std::regex_replace(fate.verdict->text, particular, "_");
      auto& [n, example] = reasons.try_emplace(reason, 0, index).first->second;
      ++n;
    }
    if (is_bug(fate.verdict->outcome)) {
      ADD_FAILURE() << describe(index) << ": " << outcome_name(fate.verdict->outcome) << ": " << fate.verdict->text;
    }
  }
  EXPECT_EQ(fates.size(), static_cast<size_t>(count));
  std::cout << count << " mutants of " << small_.size() << " small models, " << pieces_.size()
            << " pieces of real ones and " << whole_.size() << " real ones:\n";
  for (const auto& [row, n] : table) std::cout << "  " << n << "  " << row << "\n";
  for (const auto& [reason, which] : reasons) {
    std::cout << "  only we refuse, " << which.first << " times, first " << which.second << ": " << reason << "\n";
  }
  EXPECT_GT(table[outcome_name(Outcome::kAgree)], count / 10) << "mutants that nobody runs show nothing";
}

}  // namespace
}  // namespace plx::fuzz
