// Errors as values.
//
// Every function that can fail returns Result<T> (Status when there is nothing to return). An Error carries the code
// that crosses the C interface and one line that names the thing and the fix. Exceptions thrown by libraries are turned
// into errors in the folder that calls them. std::expected would do; it needs C++23, which Debian 12's compiler has only
// in part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace plx {

// Same numbers as plx_code in plx/plx.h; capi/ asserts that.
enum class Code : int32_t {
  kOk = 0,
  kInvalidArgument = 1,
  kNotFound = 2,
  kInvalidModel = 3,
  kUnsupported = 4,
  kLibrary = 5,
  kMemoryBudget = 6,
  kRunFailed = 7,
  kClosed = 8,
  kInvalidPlan = 9,
  kIo = 10,
  kInternal = 11,
};

struct Error {
  Code code = Code::kInternal;
  std::string message;
  uint64_t requested_bytes = 0;  // kMemoryBudget only
  uint64_t available_bytes = 0;  // kMemoryBudget only
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T take() { return std::move(std::get<0>(state_)); }
  Error& error() { return std::get<1>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_.has_value(); }
  Error& error() { return *error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

// Error texts are put together from parts: fail(Code::kNotFound, "no file at '", path, "'").
template <class... Parts>
Error fail(Code code, Parts&&... parts);

}  // namespace plx

#include <sstream>

namespace plx {
template <class... Parts>
Error fail(Code code, Parts&&... parts) {
  std::ostringstream text;
  (text << ... << std::forward<Parts>(parts));
  return Error{code, text.str()};
}
}  // namespace plx
