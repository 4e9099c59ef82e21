// What make_plan and the readers of profiles check alike.
#pragma once

#include "plx/partition/plan.h"

namespace plx::partition {

// kInvalidArgument, naming the field, for numbers that no device has.
Status check_profile(const DeviceProfile& profile);

}  // namespace plx::partition
