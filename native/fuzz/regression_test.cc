// The fuzzers' seeds and every finding so far, through the same targets in every preset. Files of corpus/<target>/ that
// are not seeds are findings: put there what ./plx fuzz found, under a name that says what it was.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

#include "seeds.h"
#include "targets.h"

namespace plx::fuzz {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// In an allocation that ends where the input ends.
bool feed(bool (*target)(std::string_view), const std::string& bytes) {
  const auto copy = std::make_unique<char[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return target({copy.get(), bytes.size()});
}

void run(const std::string& name, bool (*target)(std::string_view), const std::vector<Seed>& seeds) {
  const fs::path folder = fs::path(PLX_FUZZ_CORPUS) / name;
  const char* write = std::getenv("PLX_WRITE_SEEDS");
  std::set<std::string> is_seed;
  for (const Seed& seed : seeds) {
    is_seed.insert(seed.name);
    if (write != nullptr && *write == '1') {
      fs::create_directories(folder);
      std::ofstream(folder / seed.name, std::ios::binary) << seed.bytes;
    }
    EXPECT_TRUE(fs::exists(folder / seed.name)) << seed.name << " is missing: run this test with PLX_WRITE_SEEDS=1";
  }
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().string());
    bool accepted = false;
    EXPECT_NO_THROW(accepted = feed(target, content(entry.path())));
    if (is_seed.contains(entry.path().filename())) {
      EXPECT_TRUE(accepted) << "a seed that is refused leads nowhere: run this test with PLX_WRITE_SEEDS=1";
    }
    ++files;
  }
  EXPECT_GE(files, seeds.size());
}

TEST(FuzzRegression, Import) { run("import", fuzz_import, import_seeds()); }
TEST(FuzzRegression, Plan) { run("plan", fuzz_plan, plan_seeds()); }

// The mutators of the fuzzers, without libFuzzer: inputs that the targets must survive, the same in every run.
TEST(FuzzRegression, MutatedSeeds) {
  const auto flip = [](std::string& bytes, size_t) {
    if (!bytes.empty()) bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  };
  size_t accepted = 0;
  size_t refused = 0;
  const auto drive = [&](const std::vector<Seed>& seeds, bool (*target)(std::string_view), auto mutate) {
    for (const Seed& seed : seeds) {
      std::string bytes = seed.bytes;
      for (uint32_t n = 0; n < 30; ++n) {
        bytes = mutate(n % 6 == 0 ? seed.bytes : bytes, n, flip);
        bool sound = false;
        EXPECT_NO_THROW(sound = feed(target, bytes)) << seed.name << ", mutation " << n;
        ++(sound ? accepted : refused);
      }
    }
  };
  drive(import_seeds(), fuzz_import, mutate_import);
  drive(plan_seeds(), fuzz_plan, mutate_plan);
  EXPECT_GT(accepted, 30u);
  EXPECT_GT(refused, 50u);
}

}  // namespace
}  // namespace plx::fuzz
