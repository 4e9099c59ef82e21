// Several threads: on one session, on several sessions of one plan, and one that cancels.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using ort::testing::tensor_of;

template <class Work>
void on_threads(int count, Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(Threads, OnOneSessionRunOneAfterTheOther) {
  Loaded loaded(attention());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(Units::kBranches);
  const Tensor x = noise({2, 5, 32}, 1);
  must(bind(*session, 0, x));
  on_threads(4, [&](int) {
    for (int i = 0; i < 10; ++i) {
      const Status status = session->run();
      EXPECT_TRUE(status) << status.error().message;
      session->report_json();
      EXPECT_GT(session->outputs_generation(), 0u);
    }
  });
  EXPECT_EQ(outputs(*session, 1), plain.run({x}));
  EXPECT_EQ(report(*session)["runs"], 40);
}

TEST(Threads, HaveASessionOfOnePlanEach) {
  Loaded loaded(attention());
  Plain plain(runtime(), loaded.bytes());
  std::vector<Tensors> expected;
  for (int i = 0; i < 4; ++i) expected.push_back(plain.run({noise({1, 3 + i, 32}, static_cast<uint32_t>(i))}));
  on_threads(4, [&](int i) {
    const auto session = loaded.session(i % 2 == 0 ? Units::kNodes : Units::kBranches, i / 2);
    const Tensor x = noise({1, 3 + i, 32}, static_cast<uint32_t>(i));
    must(bind(*session, 0, x));
    for (int repeat = 0; repeat < 10; ++repeat) {
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), expected[static_cast<size_t>(i)]);
    }
  });
}

TEST(Threads, MayDropModelAndPlanWhileASessionRuns) {
  auto loaded = std::make_unique<Loaded>(convolutions());
  const std::string bytes = loaded->bytes();
  const Tensor x = noise({1, 8, 16, 16}, 1);
  auto kept = std::make_unique<std::string>(bytes);
  auto model = must(engine::Model::load_memory(runtime(), *kept, "", {}));
  engine::PlanRequest request;
  request.options.units = Units::kNodes;
  auto plan = must(model->make_plan(request));
  const auto session = must(model->make_session(plan, 0));
  must(bind(*session, 0, x));
  std::thread dropper([&] {
    plan.reset();
    model.reset();
  });
  for (int i = 0; i < 5; ++i) must(session->run());
  dropper.join();
  must(session->run());
  EXPECT_EQ(outputs(*session, 1), Plain(runtime(), bytes).run({x}));
}

// A loop that takes minutes unless it is stopped.
class Cancel : public ::testing::TestWithParam<Units> {
 protected:
  const Tensor x_ = noise({2, 4}, 1);
  const Tensor condition_ = tensor_of<bool>({}, {true});
  const Tensor endless_ = tensor_of<int64_t>({}, {int64_t{1} << 40});
  const Tensor three_ = tensor_of<int64_t>({}, {3});
};
INSTANTIATE_TEST_SUITE_P(Units, Cancel, ::testing::Values(Units::kWhole, Units::kNodes),
                         [](const auto& info) { return std::string(partition::units_name(info.param)); });

TEST_P(Cancel, StopsARunAndLeavesTheSessionUsable) {
  Loaded loaded(control_flow());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  must(bind(*session, 0, x_));
  must(bind(*session, 1, condition_));
  for (int round = 0; round < 3; ++round) {
    must(bind(*session, 2, endless_));
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      session->cancel();
    });
    const Status status = session->run();
    canceller.join();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kRunFailed);
    EXPECT_NE(status.error().message.find("cancelled"), std::string::npos) << status.error().message;
    EXPECT_FALSE(session->output(0));
    must(bind(*session, 2, three_));
    must(session->run());
    EXPECT_EQ(outputs(*session, 2), plain.run({x_, condition_, three_}));
  }
}

TEST_P(Cancel, BetweenRunsDoesNothing) {
  Loaded loaded(control_flow());
  const auto session = loaded.session(GetParam());
  session->cancel();
  must(bind(*session, 0, x_));
  must(bind(*session, 1, condition_));
  must(bind(*session, 2, three_));
  must(session->run());
  session->cancel();
  session->cancel();
  must(session->run());
}

// Who means one run raises its word first: whether the request comes before that run or in it, it stops this run alone.
TEST_P(Cancel, OfOneRunIsHeardHoweverEarlyItComes) {
  Loaded loaded(control_flow());
  const auto session = loaded.session(GetParam());
  must(bind(*session, 0, x_));
  must(bind(*session, 1, condition_));
  for (int round = 0; round < 12; ++round) {
    must(bind(*session, 2, endless_));
    int32_t stop = 0;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(round * 30));
      std::atomic_ref(stop).store(1);
      session->cancel();
    });
    const Status status = session->run(&stop);
    canceller.join();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "the run was cancelled");
    must(bind(*session, 2, three_));
    stop = 0;
    must(session->run(&stop));
  }
}

// Units on the calling thread and on the pool's, all of them inside a loop.
TEST(CancelSideBySide, StopsAllWorkers) {
  Loaded loaded(two_loops());
  const auto plan = loaded.plan(Units::kNodes);
  Schedule narrow;
  for (size_t u = 0; u < plan->plan->units.size(); ++u) narrow.entries.push_back({static_cast<uint32_t>(u), 0, 1, 0});
  const auto session = must(loaded->make_session(plan, 0, narrow));
  const Tensor x = noise({4}, 1);
  const Tensor endless = tensor_of<int64_t>({}, {int64_t{1} << 40});
  const Tensor three = tensor_of<int64_t>({}, {3});
  const Tensors expected = Plain(runtime(), loaded.bytes()).run({x, three});
  must(bind(*session, 0, x));
  for (int round = 0; round < 5; ++round) {
    must(bind(*session, 1, endless));
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      session->cancel();
    });
    const Status status = session->run();
    canceller.join();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "the run was cancelled");
    must(bind(*session, 1, three));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), expected);
  }
}

// A neighbour's cancel is none of theirs.
TEST(Threads, EightWithASessionEachWhileOneIsCancelled) {
  Loaded loaded(attention());
  const Tensor x = noise({2, 5, 32}, 1);
  const Tensors expected = Plain(runtime(), loaded.bytes()).run({x});
  const auto victim = loaded.session(Units::kNodes);
  must(bind(*victim, 0, x));
  std::atomic<bool> over{false};
  std::thread canceller([&] {
    while (!over) victim->cancel();
  });
  std::thread cancelled([&] {
    while (!over) {
      const Status status = victim->run();
      EXPECT_TRUE(status || status.error().message == "the run was cancelled");
    }
  });
  on_threads(8, [&](int i) {
    const auto session = loaded.session(kAllUnits[i % 4], i / 4);
    must(bind(*session, 0, x));
    for (int repeat = 0; repeat < 10; ++repeat) {
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), expected);
    }
  });
  over = true;
  canceller.join();
  cancelled.join();
  must(victim->run());
  EXPECT_EQ(outputs(*victim, 1), expected);
}

TEST_P(Cancel, AtAnyMomentNeverSpoilsALaterRun) {
  Loaded loaded(control_flow());
  const auto session = loaded.session(GetParam());
  must(bind(*session, 0, x_));
  must(bind(*session, 1, condition_));
  must(bind(*session, 2, three_));
  std::atomic<bool> over{false};
  std::thread canceller([&] {
    while (!over) {
      session->cancel();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  // Until it was hit often enough; a busy machine may take its time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  int cancelled = 0;
  for (int runs = 0; (runs < 200 || cancelled < 20) && std::chrono::steady_clock::now() < deadline; ++runs) {
    const Status status = session->run();
    if (status) continue;
    ++cancelled;
    EXPECT_EQ(status.error().message, "the run was cancelled");
  }
  over = true;
  canceller.join();
  EXPECT_GE(cancelled, 20);
  for (int i = 0; i < 3; ++i) must(session->run());
}

}  // namespace
}  // namespace plx::schedule
