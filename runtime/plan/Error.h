//===- Error.h - the one error type of the runtime --------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_ERROR_H
#define DEEPSHARD_RUNTIME_PLAN_ERROR_H

#include <stdexcept>
#include <string>

namespace deepshard::runtime {

/// Exit codes of ds-opt and ds-run.
enum class ExitCode : int {
  Done = 0,
  BadInput = 1,    ///< the input is at fault; the message says where
  Usage = 2,       ///< the command line is at fault
  RankFailed = 3,  ///< a rank failed or hung; the message names rank and task
  Internal = 4,    ///< an invariant of the program itself does not hold
  Diverged = 5,    ///< the loss is not finite
  Interrupted = 6, ///< stopped by a signal after a whole step
};

/// What went wrong, for the user: lower case, what was found, what was expected, where, what to do.
class Error : public std::runtime_error {
public:
  explicit Error(const std::string &message, ExitCode code = ExitCode::BadInput)
      : std::runtime_error(message), exitCode(code) {}

  ExitCode code() const { return exitCode; }

private:
  ExitCode exitCode;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_ERROR_H
