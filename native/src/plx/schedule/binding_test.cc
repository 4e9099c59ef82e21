// Tensors bound by the caller, what is refused, generations, schedules, and failures that leave the session usable.
#include <gtest/gtest.h>

#include <algorithm>

#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::schedule {
namespace {

using namespace testing;
using ort::testing::noise;
using ort::testing::Plain;
using ort::testing::runtime;
using ort::testing::tensor_of;
using ort::testing::text_of;

void expect_error(const Status& status, Code code, const std::vector<std::string>& parts) {
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, code) << status.error().message;
  for (const std::string& part : parts)
    EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
}
template <class T>
Status status_of(const Result<T>& result) {
  return result ? Status() : Status(result.error());
}

// y = relu(x + w), x of any length; and the shape of x as a second output.
std::string add_relu() {
  Model m;
  m.input("x", kFloat, {"n", 4}).initializer("w", weights({4}, 1)).output("y", kFloat, {"n", 4}).output("s", kInt, {2});
  m.node("Add", {"x", "w"}, {"a"}).node("Relu", {"a"}, {"y"}).node("Shape", {"y"}, {"s"});
  return m.bytes();
}

class EveryCut : public ::testing::TestWithParam<Units> {};
INSTANTIATE_TEST_SUITE_P(Units, EveryCut, ::testing::ValuesIn(kAllUnits),
                         [](const auto& info) { return std::string(partition::units_name(info.param)); });

TEST_P(EveryCut, InputsAreReadWhereTheyLie) {
  Loaded loaded(add_relu());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  Tensor x = noise({2, 4}, 1);
  must(bind(*session, 0, x));
  for (uint32_t seed = 2; seed < 6; ++seed) {
    must(session->run());
    EXPECT_EQ(outputs(*session, 2), plain.run({x}));
    const Tensor next = noise({2, 4}, seed);
    std::copy(next.bytes.begin(), next.bytes.end(), x.bytes.begin());  // bound memory, new content
  }
}

TEST_P(EveryCut, OutputsAreWrittenWhereTheCallerSays) {
  Loaded loaded(add_relu());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  const Tensor x = noise({2, 4}, 1);
  must(bind(*session, 0, x));
  Tensor y = noise({2, 4}, 9);
  must(session->bind_output(0, view_of(y)));
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::fill(y.bytes.begin(), y.bytes.end(), 'x');
    must(session->run());
    EXPECT_EQ(must(session->output(0)).data, y.bytes.data());
    EXPECT_EQ(y, plain.run({x})[0]);
    EXPECT_EQ(outputs(*session, 2), plain.run({x}));
  }
  must(session->bind_output(0, {}));
  const std::string before = y.bytes;
  std::fill(y.bytes.begin(), y.bytes.end(), 'x');
  must(session->run());
  EXPECT_NE(must(session->output(0)).data, y.bytes.data());
  EXPECT_EQ(y.bytes, std::string(before.size(), 'x'));
  EXPECT_EQ(outputs(*session, 2), plain.run({x}));
}

TEST_P(EveryCut, BoundOutputsMayChangePlaceAndShape) {
  Loaded loaded(add_relu());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  for (const int64_t rows : {3, 1, 3, 2, 1}) {
    const Tensor x = noise({rows, 4}, 1);
    Tensor y = noise({rows, 4}, 2);
    must(bind(*session, 0, x));
    must(session->bind_output(0, view_of(y)));
    must(session->run());
    must(session->run());
    EXPECT_EQ(y, plain.run({x})[0]);
  }
}

TEST_P(EveryCut, ABoundOutputOfAnotherShapeIsNamedWithBothShapes) {
  Loaded loaded(add_relu());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  const Tensor x = noise({2, 4}, 1);
  must(bind(*session, 0, x));
  Tensor wrong = noise({3, 4}, 2);
  for (int round = 0; round < 3; ++round) {
    must(session->bind_output(0, view_of(wrong)));
    expect_error(session->run(), Code::kInvalidArgument, {"'y'", "[2,4]", "[3,4]"});
    EXPECT_FALSE(session->output(0));
    Tensor right = noise({2, 4}, 3);
    must(session->bind_output(0, view_of(right)));
    must(session->run());
    EXPECT_EQ(right, plain.run({x})[0]);
    must(session->bind_output(0, {}));
    must(session->run());
    EXPECT_EQ(outputs(*session, 2), plain.run({x}));
  }
}

TEST_P(EveryCut, OutputsThatAreViewsOrInputsCanBeBound) {
  Loaded loaded(many_outputs());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  const Tensor x = noise({2, 4}, 1);
  const Tensors expected = plain.run({x});
  must(bind(*session, 0, x));
  Tensors bound;
  for (const Tensor& tensor : expected)
    bound.push_back({tensor.element, tensor.dims, std::string(tensor.bytes.size(), 'x'), {}});
  for (size_t i = 0; i < bound.size(); ++i) must(session->bind_output(i, view_of(bound[i])));
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (Tensor& tensor : bound) std::fill(tensor.bytes.begin(), tensor.bytes.end(), 'x');
    must(session->run());
    EXPECT_EQ(bound, expected);
    EXPECT_EQ(outputs(*session, bound.size()), expected);
  }
  Tensor wrong = noise({9}, 1);
  must(session->bind_output(1, view_of(wrong)));
  expect_error(session->run(), Code::kInvalidArgument, {"'view'", "[8]", "[9]"});
}

TEST_P(EveryCut, AFailingOperatorLeavesTheSessionUsable) {
  Model m;
  m.input("x", kFloat, {4, 2})
      .input("i", kInt, {3})
      .node("Abs", {"x"}, {"a"})
      .node("Gather", {"a", "i"}, {"g"}, {}, "pick")
      .node("Neg", {"g"}, {"y"});
  m.output("y", kFloat, {3, 2});
  Loaded loaded(m.bytes());
  Plain plain(runtime(), loaded.bytes());
  const auto session = loaded.session(GetParam());
  const Tensor x = noise({4, 2}, 1);
  const Tensor good = tensor_of<int64_t>({3}, {0, 3, 1});
  const Tensor bad = tensor_of<int64_t>({3}, {0, 99, 1});
  must(bind(*session, 0, x));
  for (int round = 0; round < 3; ++round) {
    must(bind(*session, 1, bad));
    expect_error(session->run(), Code::kRunFailed, {"99"});
    EXPECT_FALSE(session->output(0));
    must(bind(*session, 1, good));
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({x, good}));
  }
}

TEST_P(EveryCut, AScheduleMayBeTakenAtAnyTime) {
  Loaded loaded(convolutions());
  Plain plain(runtime(), loaded.bytes());
  const auto plan = loaded.plan(GetParam());
  const auto session = must(loaded->make_session(plan, 0));
  const Tensor x = noise({1, 8, 16, 16}, 1);
  const Tensors expected = plain.run({x});
  must(bind(*session, 0, x));
  for (int round = 0; round < 4; ++round) {
    Schedule schedule;
    for (uint32_t i = 0; i < plan->plan->units.size(); ++i)
      schedule.entries.push_back({i, 0, (i + static_cast<uint32_t>(round)) % 2, i % 2});
    must(session->set_schedule(schedule));
    for (int repeat = 0; repeat < 3; ++repeat) {
      must(session->run());
      EXPECT_EQ(outputs(*session, 1), expected);
    }
    Schedule wrong = schedule;
    wrong.entries.pop_back();
    expect_error(session->set_schedule(wrong), Code::kInvalidPlan, {"entries"});
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), expected);
  }
}

TEST(Schedule, MayBeAnyTopologicalOrder) {
  Loaded loaded(convolutions());
  Plain plain(runtime(), loaded.bytes());
  const auto plan = loaded.plan(Units::kNodes);
  const auto& units = plan->plan->units;
  const auto session = must(loaded->make_session(plan, 0));
  const Tensor x = noise({1, 8, 16, 16}, 1);
  must(bind(*session, 0, x));
  // The highest unit that is ready comes first: as far from the plan's own order as can be.
  Schedule schedule;
  std::vector<bool> done(units.size(), false);
  while (schedule.entries.size() < units.size()) {
    for (size_t i = units.size(); i-- > 0;) {
      const auto& before = units[i].predecessors;
      if (done[i] || !std::all_of(before.begin(), before.end(), [&](int p) { return done[static_cast<size_t>(p)]; }))
        continue;
      done[i] = true;
      schedule.entries.push_back({static_cast<uint32_t>(i), 0, 0, 0});
      break;
    }
  }
  must(session->set_schedule(schedule));
  for (int repeat = 0; repeat < 3; ++repeat) {
    must(session->run());
    EXPECT_EQ(outputs(*session, 1), plain.run({x}));
  }
  EXPECT_EQ(report(*session)["units"][0]["unit"], schedule.entries[0].unit);
}

TEST(Generation, ChangesWithAddressShapeOrTypeOnly) {
  Loaded loaded(add_relu());
  const auto session = loaded.session(Units::kNodes);
  const Tensor x = noise({2, 4}, 1);
  const Tensor taller = noise({3, 4}, 2);
  must(bind(*session, 0, x));
  must(session->run());
  must(session->run());
  must(session->run());
  const uint64_t steady = session->outputs_generation();
  const void* address = must(session->output(0)).data;
  for (int i = 0; i < 5; ++i) {
    must(session->run());
    EXPECT_EQ(session->outputs_generation(), steady);
    EXPECT_EQ(must(session->output(0)).data, address);
  }
  must(bind(*session, 0, taller));
  must(session->run());
  const uint64_t changed = session->outputs_generation();
  EXPECT_GT(changed, steady);
  EXPECT_EQ(read_output(*session, 0).dims, (Dims{3, 4}));
  Tensor y = noise({3, 4}, 3);
  must(session->bind_output(0, view_of(y)));
  must(session->run());
  EXPECT_GT(session->outputs_generation(), changed);
}

TEST(BindInput, RefusesWhatTheModelDoesNotWant) {
  Loaded loaded(add_relu());
  const auto session = loaded.session(Units::kNodes);
  expect_error(session->run(), Code::kInvalidArgument, {"'x'", "not bound"});
  Tensor good = noise({2, 4}, 1);
  expect_error(session->bind_input(1, view_of(good)), Code::kInvalidArgument, {"no input 1", "has 1"});
  const Tensor ints = tensor_of<int64_t>({2, 4}, std::vector<int64_t>(8));
  expect_error(bind(*session, 0, ints), Code::kInvalidArgument, {"'x'", "float32", "int64"});
  const Tensor wide = noise({2, 5}, 1);
  expect_error(bind(*session, 0, wide), Code::kInvalidArgument, {"[n,4]", "[2,5]"});
  const Tensor flat = noise({4}, 1);
  expect_error(bind(*session, 0, flat), Code::kInvalidArgument, {"[n,4]", "[4]"});
  const Dims negative = {-1, 4};
  expect_error(session->bind_input(0, {kFloat, negative, good.bytes.data(), 32}), Code::kInvalidArgument, {"[-1,4]"});
  expect_error(session->bind_input(0, {kFloat, good.dims, good.bytes.data(), 31}), Code::kInvalidArgument,
               {"needs 32 bytes", "31"});
  expect_error(session->bind_input(0, {kFloat, good.dims, nullptr, 32}), Code::kInvalidArgument, {"needs 32 bytes"});
  const size_t offset = 0;
  expect_error(session->bind_input_strings(0, good.dims, "a", &offset), Code::kInvalidArgument, {"'x'", "not strings"});
  must(bind(*session, 0, good));
  must(session->run());
}

TEST(BindInput, RefusesWhatIsNoTensor) {
  Model m;
  m.input("list", sequence_of(tensor_type(kFloat))).node("SequenceLength", {"list"}, {"n"}).output("n", kInt, {});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kWhole);
  const Tensor x = noise({2}, 1);
  expect_error(bind(*session, 0, x), Code::kInvalidArgument, {"'list'", "sequence(float32)", "not a tensor"});
}

TEST(BindStrings, RefusesWhatDoesNotFit) {
  Loaded loaded(strings());
  const auto session = loaded.session(Units::kNodes);
  const Dims two = {2};
  const size_t good[] = {0, 1};
  const size_t falling[] = {2, 1};
  const size_t far[] = {0, 9};
  must(session->bind_input_strings(0, two, "ab", good));
  expect_error(session->bind_input_strings(5, two, "ab", good), Code::kInvalidArgument, {"no input 5"});
  expect_error(session->bind_input_strings(0, two, "ab", falling), Code::kInvalidArgument, {"'s'", "offsets"});
  expect_error(session->bind_input_strings(0, two, "ab", far), Code::kInvalidArgument, {"'s'", "offsets"});
  expect_error(session->bind_input_strings(0, two, "ab", nullptr), Code::kInvalidArgument, {"'s'", "offsets"});
  expect_error(session->bind_input_strings(0, Dims{1, 2}, "ab", good), Code::kInvalidArgument, {"[n]", "[1,2]"});
  expect_error(session->bind_input_strings(0, Dims{-1}, "ab", good), Code::kInvalidArgument, {"[-1]"});
  expect_error(session->bind_input_strings(1, two, "ab", good), Code::kInvalidArgument, {"'i'", "int64"});
}

TEST(BindStrings, KeepsEveryByte) {
  Model m;
  m.input("s", kText, {"n"}).node("Identity", {"s"}, {"y"}).output("y", kText, {"n"});
  Loaded loaded(m.bytes());
  const auto session = loaded.session(Units::kWhole);
  const Tensor text = text_of({3}, {std::string("a\0b", 3), "", std::string("\0", 1)});
  must(bind(*session, 0, text));
  must(session->run());
  EXPECT_EQ(read_output(*session, 0), text);
}

TEST(BindStrings, TextHandedOutAsItCameGoesWithItsInput) {
  Model m;
  m.input("s", kText, {"n"}).output("s", kText, {"n"}).node("Identity", {"s"}, {"y"}).output("y", kText, {"n"});
  Loaded loaded(m.bytes());
  for (const Units units : kAllUnits) {
    const auto session = loaded.session(units);
    const Tensor first = text_of({1}, {"a string longer than any small buffer"});
    const Tensor second = text_of({2}, {"b", "c"});
    must(bind(*session, 0, first));
    must(session->run());
    EXPECT_EQ(outputs(*session, 2), (Tensors{first, first}));
    must(bind(*session, 0, second));
    expect_error(status_of(session->output_strings(0)), Code::kInvalidArgument, {"run the session"});
    EXPECT_EQ(must(session->output_strings(1)), first.strings);
    must(session->run());
    EXPECT_EQ(outputs(*session, 2), (Tensors{second, second}));
  }
}

TEST(BindOutput, RefusesWhatCannotBe) {
  Loaded loaded(add_relu());
  const auto session = loaded.session(Units::kNodes);
  Tensor y = noise({2, 4}, 1);
  expect_error(session->bind_output(2, view_of(y)), Code::kInvalidArgument, {"no output 2", "has 2"});
  expect_error(session->bind_output(1, view_of(y)), Code::kInvalidArgument, {"'s'", "int64", "float32"});
  expect_error(session->bind_output(0, {kFloat, y.dims, y.bytes.data(), 31}), Code::kInvalidArgument,
               {"'y'", "31", "32"});
  expect_error(session->bind_output(0, {kFloat, y.dims, nullptr, 32}), Code::kInvalidArgument, {"'y'"});
}

TEST(ReadOutput, NeedsARunAndAnOutputThatIsThere) {
  Loaded loaded(add_relu());
  const auto session = loaded.session(Units::kNodes);
  expect_error(status_of(session->output(0)), Code::kInvalidArgument, {"'y'", "run the session"});
  expect_error(status_of(session->output(2)), Code::kInvalidArgument, {"no output 2"});
  expect_error(status_of(session->output_strings(0)), Code::kInvalidArgument, {"run the session"});
  const Tensor x = noise({2, 4}, 1);
  must(bind(*session, 0, x));
  must(session->run());
  expect_error(status_of(session->output_strings(0)), Code::kInvalidArgument, {"'y'", "float32"});
}

TEST(ReadOutput, OfASequenceAsATensorIsUnsupported) {
  Model m;
  m.input("x", kFloat, {"n"})
      .node("Abs", {"x"}, {"a"})
      .node("SequenceConstruct", {"a", "x"}, {"list"})
      .output("list", sequence_of(tensor_type(kFloat)));
  m.node("Neg", {"a"}, {"y"}).output("y", kFloat, {"n"});
  Loaded loaded(m.bytes());
  const Tensor x = noise({2}, 1);
  for (const Units units : kAllUnits) {
    const auto session = loaded.session(units);
    must(bind(*session, 0, x));
    for (int repeat = 0; repeat < 3; ++repeat) {
      must(session->run());
      expect_error(status_of(session->output(0)), Code::kUnsupported, {"'list'", "not a tensor"});
      EXPECT_TRUE(session->output(1));
    }
  }
}

TEST(ReadOutput, OfStringsThatWereGivenUpIsAnError) {
  Loaded loaded(strings());
  const auto session = loaded.session(Units::kNodes);
  const Tensor s = text_of({2}, {"a", "b"});
  const Tensor i = tensor_of<int64_t>({1}, {0});
  must(bind(*session, 0, s));
  must(bind(*session, 1, i));
  must(session->run());
  must(session->bind_output(0, {}));
  expect_error(status_of(session->output_strings(0)), Code::kInvalidArgument, {"run the session"});
  must(session->run());
  EXPECT_EQ(must(session->output_strings(0)), std::vector<std::string>{"a"});
}

TEST(Create, TakesOneThreadOrAll) {
  Loaded loaded(add_relu());
  const auto plan = loaded.plan(Units::kNodes);
  for (const int threads : {-1, 2, 3}) {
    auto session = loaded->make_session(plan, threads);
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace plx::schedule
