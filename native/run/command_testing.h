// For tests: a program as its users start it.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace plx::run::testing {

struct Outcome {
  int status = -1;  // of its exit; -1 if a signal ended it
  std::string out;  // and what it complains about
};

inline Outcome start(const std::string& command) {
  Outcome outcome;
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char part[4096];
  for (size_t read = 0; (read = fread(part, 1, sizeof part, pipe)) > 0;) outcome.out.append(part, read);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

}  // namespace plx::run::testing
