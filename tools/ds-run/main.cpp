//===- main.cpp - ds-run: executes a plan -----------------------------------------------------===//

#include "runtime/plan/Error.h"
#include "tools/ds-run/Options.h"
#include "tools/ds-run/Run.h"

#include <fmt/format.h>

#include <exception>
#include <new>

int main(int argc, char **argv) {
  using deepshard::runtime::ExitCode;
  int exitCode = 0;
  try {
    std::optional<deepshard::RunOptions> options = deepshard::parseOptions(argc, argv, exitCode);
    return options ? static_cast<int>(deepshard::run(*options)) : exitCode;
  } catch (const deepshard::runtime::Error &error) {
    fmt::print(stderr, "ds-run: error: {}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc &) {
    fmt::print(stderr, "ds-run: error: this machine has not enough memory\n");
    return static_cast<int>(ExitCode::BadInput);
  } catch (const std::exception &error) {
    fmt::print(stderr, "ds-run: internal error: {}\n", error.what());
    return static_cast<int>(ExitCode::Internal);
  }
}
