#include <gtest/gtest.h>

#include "plx/schedule/session.h"

namespace plx::schedule {
namespace {

// 0 -> 1, 0 -> 2, {1, 2} -> 3
partition::Plan diamond() {
  partition::Plan plan;
  plan.units.resize(4);
  plan.units[1].predecessors = {0};
  plan.units[2].predecessors = {0};
  plan.units[3].predecessors = {1, 2};
  return plan;
}

std::string refused(const std::vector<ScheduleEntry>& entries, const partition::Plan& plan = diamond()) {
  const Status status = validate(plan, {entries, 0});
  if (status) return "accepted";
  EXPECT_EQ(status.error().code, Code::kInvalidPlan);
  return status.error().message;
}

TEST(ValidateSchedule, AcceptsEveryTopologicalOrder) {
  EXPECT_EQ(refused({{0}, {1}, {2}, {3}}), "accepted");
  EXPECT_EQ(refused({{0, 0, 1, 1}, {2, 0, 0, 0}, {1, 0, 1, 0}, {3, 0, 0, 1}}), "accepted");
  EXPECT_EQ(refused({}, {}), "accepted");
}

TEST(ValidateSchedule, NamesWhatIsWrong) {
  const auto expect = [](const std::vector<ScheduleEntry>& entries, const std::string& part) {
    const std::string text = refused(entries);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect({{0}, {1}, {2}}, "has 3 entries, and the plan has 4 units");
  expect({{0}, {1}, {2}, {3}, {3}}, "has 5 entries");
  expect({{0}, {1}, {2}, {4}}, "names unit 4; the plan has units 0 to 3");
  expect({{0}, {1}, {1}, {3}}, "unit 1 twice");
  expect({{1}, {0}, {2}, {3}}, "starts unit 1 before unit 0");
  expect({{0}, {1}, {3}, {2}}, "starts unit 3 before unit 2");
  expect({{0}, {1, 1}, {2}, {3}}, "unit 1 on device 1; it is no delegate region");
  expect({{0}, {1, 0, 2}, {2}, {3}}, "gives unit 1 2 threads");
  expect({{0}, {1, 0, 1, 2}, {2}, {3}}, "barrier flag 2 at unit 1");
}

}  // namespace
}  // namespace plx::schedule
