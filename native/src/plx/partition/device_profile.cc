// Device profiles: the one built in, and reading and writing them as JSON.
#include <cmath>

#include "plx/partition/json_read.h"
#include "plx/partition/profile.h"
#include "plx/partition/rates.h"

namespace plx::partition {

DeviceProfile gpu_profile() {
  DeviceProfile profile;
  profile.name = "gpu";
  profile.operators = {
      // products
      "Conv", "MatMul", "Gemm", "com.microsoft:FusedConv", "com.microsoft:FusedMatMul", "com.microsoft:FusedGemm",
      // arithmetic
      "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Abs", "Neg", "Sign", "Reciprocal", "Sqrt",
      "Exp", "Log", "Sin", "Cos", "Erf", "Ceil", "Floor", "Round", "Clip",
      // comparisons and choice
      "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not", "Where",
      // activations
      "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softplus",
      "Softsign", "Mish", "Gelu", "ThresholdedRelu", "com.microsoft:Gelu", "com.microsoft:FastGelu",
      "com.microsoft:BiasGelu", "com.microsoft:QuickGelu",
      // normalisations
      "Softmax", "LogSoftmax", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
      "com.microsoft:SkipLayerNormalization",
      // reductions and pooling
      "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
      "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool",
      // data movement
      "Resize", "Concat", "Split", "Slice", "Pad", "Gather", "Transpose", "Expand", "Cast", "Reshape", "Squeeze",
      "Unsqueeze", "Flatten", "Identity",
  };
  return profile;
}

Status check_profile(const DeviceProfile& profile) {
  const std::string who = "device profile '" + printable(profile.name) + "'";
  if (profile.name.empty()) return fail(Code::kInvalidArgument, "device profile: 'name' is empty");
  for (const std::string& name : profile.operators) {
    const size_t colon = name.find(':');
    if (name.empty() || colon == 0 || colon + 1 == name.size()) {
      return fail(Code::kInvalidArgument, who, ": '", printable(name), "' is no operator; write 'Conv' or 'domain:Op'");
    }
  }
  if (profile.min_nodes < 1) {
    return fail(Code::kInvalidArgument, who, ": 'min_nodes' is ", profile.min_nodes, "; it must be at least 1");
  }
  struct Bound {
    const char* key;
    double value;
    double low;
  };
  // A rate below 1 per second is no device's, and without them every quotient is finite.
  for (const Bound& bound : {Bound{"min_macs", profile.min_macs, 0},
                             Bound{"max_bytes_per_mac", profile.max_bytes_per_mac, 0},
                             Bound{"latency_s", profile.latency_s, 0}, Bound{"r_acc", profile.r_acc, 1},
                             Bound{"b_bw", profile.b_bw, 1}, Bound{"r_cpu", profile.r_cpu, 1}}) {
    if (std::isfinite(bound.value) && bound.value >= bound.low) continue;
    return fail(Code::kInvalidArgument, who, ": '", bound.key, "' is ", bound.value, "; it must be at least ",
                bound.low);
  }
  if (!profile.measured) return {};
  for (const Rates* rates : {&profile.measured->device, &profile.measured->cpu}) {
    if (!(rates->launch_s >= 0) || !std::isfinite(rates->launch_s)) {
      return fail(Code::kInvalidArgument, who, ": 'launch_s' is ", rates->launch_s, "; it must be at least 0");
    }
    for (size_t c = 0; c < kOperatorClasses; ++c) {
      if (rates->per_s[c] >= 1 && std::isfinite(rates->per_s[c])) continue;
      return fail(Code::kInvalidArgument, who, ": rate '", kOperatorClassNames[c], "' is ", rates->per_s[c],
                  "; it must be at least 1");
    }
  }
  return {};
}

namespace {

Rates read_rates(const JsonAt& json) {
  Rates rates;
  rates.launch_s = json.at("launch_s").number();
  for (size_t c = 0; c < kOperatorClasses; ++c) rates.per_s[c] = json.at(kOperatorClassNames[c]).number();
  return rates;
}

nlohmann::ordered_json write_rates(const Rates& rates) {
  nlohmann::ordered_json json{{"launch_s", rates.launch_s}};
  for (size_t c = 0; c < kOperatorClasses; ++c) json[std::string(kOperatorClassNames[c])] = rates.per_s[c];
  return json;
}

}  // namespace

DeviceProfile read_profile(const JsonAt& json) {
  json.only({"name", "operators", "min_nodes", "min_macs", "max_bytes_per_mac", "latency_s", "r_acc", "b_bw", "r_cpu",
             "measured"});
  DeviceProfile profile;
  profile.name = json.at("name").text();
  const JsonAt operators = json.at("operators");
  for (size_t i = 0; i < operators.size(); ++i) profile.operators.push_back(operators.at(i).text());
  if (json.has("min_nodes")) profile.min_nodes = json.at("min_nodes").integer();
  const auto number = [&](std::string_view key, double& field) {
    if (json.has(key)) field = json.at(key).number();
  };
  number("min_macs", profile.min_macs);
  number("max_bytes_per_mac", profile.max_bytes_per_mac);
  number("latency_s", profile.latency_s);
  number("r_acc", profile.r_acc);
  number("b_bw", profile.b_bw);
  number("r_cpu", profile.r_cpu);
  if (json.has("measured")) {
    const JsonAt measured = json.at("measured");
    profile.measured = MeasuredRates{read_rates(measured.at("device")), read_rates(measured.at("cpu"))};
  }
  return profile;
}

nlohmann::ordered_json write_profile(const DeviceProfile& profile) {
  nlohmann::ordered_json json{
          {"name", profile.name},
          {"operators", profile.operators},
          {"min_nodes", profile.min_nodes},
          {"min_macs", profile.min_macs},
          {"max_bytes_per_mac", profile.max_bytes_per_mac},
          {"latency_s", profile.latency_s},
          {"r_acc", profile.r_acc},
          {"b_bw", profile.b_bw},
          {"r_cpu", profile.r_cpu}};
  if (profile.measured) {
    json["measured"] = {{"device", write_rates(profile.measured->device)}, {"cpu", write_rates(profile.measured->cpu)}};
  }
  return json;
}

std::string to_json(const DeviceProfile& profile) {
  return write_profile(profile).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {
constexpr size_t kLongestProfile = size_t{1} << 20;
}

Result<DeviceProfile> device_profile_from_json(std::string_view json) {
  try {
    const nlohmann::json parsed = parse_json(json, kLongestProfile);
    DeviceProfile profile = read_profile(JsonAt(parsed));
    if (Status status = check_profile(profile); !status) return status.error();
    return profile;
  } catch (const JsonError& error) {
    return fail(Code::kInvalidArgument, "device profile: ", error.message);
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::kInvalidArgument, "device profile is not JSON: ", printable(error.what(), 300));
  }
}

}  // namespace plx::partition
