// For tests: plans whose regions run on a device, and what they make.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "plx/engine/model.h"
#include "plx/schedule/models_testing.h"
#include "plx/schedule/session_testing.h"

namespace plx::engine::testing {

using schedule::Session;
using schedule::testing::report;
using schedule::testing::Tensors;
using partition::Units;

// All regions on this device.
inline PlanRequest on(const std::string& device, Units units = Units::kBranches) {
  PlanRequest request;
  request.device = device;
  request.options.units = units;
  request.options.offload_all = true;
  return request;
}

// Within what kernels of a device's own may differ by.
inline void expect_close(const Tensors& made, const Tensors& expected) {
  ASSERT_EQ(made.size(), expected.size());
  for (size_t i = 0; i < made.size(); ++i) {
    ASSERT_EQ(made[i].dims, expected[i].dims);
    for (size_t at = 0; at + 4 <= made[i].bytes.size(); at += 4) {
      float a = 0;
      float b = 0;
      std::memcpy(&a, made[i].bytes.data() + at, 4);
      std::memcpy(&b, expected[i].bytes.data() + at, 4);
      ASSERT_LE(std::abs(a - b), 1e-4 + 1e-3 * std::abs(b)) << "output " << i << ", element " << at / 4;
    }
  }
}

// Two regions with an operator between them that the device is to leave to the CPU; of the two tensors that the first makes,
// the second region alone reads one, and the CPU the other. Tensors have 16 KiB.
inline constexpr uint64_t kTensorBytes = 16 << 10;
inline std::string two_regions(const std::string& cpus_operator) {
  schedule::testing::Model m;
  m.input("x", graph::ElementType::kFloat32, {64, 64}).output("y", graph::ElementType::kFloat32, {64, 64});
  m.node("Erf", {"x"}, {"for_cpu"}).node("Neg", {"for_cpu"}, {"for_device"}).node(cpus_operator, {"for_cpu"}, {"back"});
  m.node("Add", {"for_device", "back"}, {"sum"}).node("Tanh", {"sum"}, {"y"});
  return m.bytes();
}

// In the last run, of the regions in their order.
inline std::vector<uint64_t> copied_bytes(const Session& session) {
  std::vector<uint64_t> all;
  for (const auto& unit : session.last_run()) {
    if (unit.device == 1 || !unit.fell_back.empty()) all.push_back(unit.copied_bytes);
  }
  return all;
}

inline size_t units_on(const Session& session, const std::string& device) {
  size_t count = 0;
  const auto all = report(session);
  for (const auto& unit : all["units"]) count += unit["device"] == device ? 1 : 0;
  return count;
}

}  // namespace plx::engine::testing
