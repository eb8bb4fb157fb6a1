//===- main.cpp - ds-run: executes a plan -----------------------------------------------------===//

#include "runtime/plan/Error.h"
#include "tools/ds-run/Options.h"
#include "tools/ds-run/Run.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

using deepshard::runtime::ExitCode;

/// Ends the process at once: what CUDA does at its end would wait for a GPU that hangs.
[[noreturn]] static void leave(ExitCode code) {
  std::fflush(nullptr);
  std::_Exit(static_cast<int>(code));
}

int main(int argc, char **argv) {
  int exitCode = 0;
  try {
    std::optional<deepshard::RunOptions> options = deepshard::parseOptions(argc, argv, exitCode);
    return options ? static_cast<int>(deepshard::run(*options)) : exitCode;
  } catch (const deepshard::runtime::Error &error) {
    fmt::print(stderr, "ds-run: error: {}\n", error.what());
    leave(error.code());
  } catch (const std::bad_alloc &) {
    fmt::print(stderr, "ds-run: error: this machine has not enough memory\n");
    leave(ExitCode::BadInput);
  } catch (const std::exception &error) {
    fmt::print(stderr, "ds-run: internal error: {}\n", error.what());
    leave(ExitCode::Internal);
  }
}
