// Numbers and names as a person reads them, in reasons, error texts and the plan's text form.
#pragma once

#include <string>
#include <string_view>

#include "plx/base/text.h"
#include "plx/partition/plan.h"

namespace plx::partition {

std::string format_count(double count);      // "0", "950", "12.3 k", "1.25 G"; three significant digits
std::string format_bytes(uint64_t bytes);    // "640 B", "12.3 KB", "1.25 MB"; steps of 1000
std::string format_seconds(double seconds);  // "0.31 us", "12.3 ms", "1.25 s"
std::string format_ratio(double ratio);      // "1.53", "0.00031"; three significant digits

std::string describe_node(const Graph& graph, NodeId node);    // node 12 'conv1' (Conv)
std::string describe_value(const Graph& graph, ValueId value);  // value 7 'x'

}  // namespace plx::partition
