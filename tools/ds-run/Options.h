//===- Options.h - the command line of ds-run -------------------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DS_RUN_OPTIONS_H
#define DEEPSHARD_TOOLS_DS_RUN_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace deepshard {

struct RunOptions {
  std::string plan;
  std::vector<std::pair<std::string, std::string>> data; ///< input, file
  uint64_t steps = 0;
  uint64_t seed = 0;
  bool shuffle = true;
  bool checkOnly = false;
  bool profile = false;
  bool oneByOne = false;  ///< tasks
  bool shareGpu = false;  ///< all ranks on the first GPU
  uint64_t delaySeed = 0; ///< of random waits before tasks; 0: none
  std::string cudaLibraries;
  int threads = 0;      ///< of a rank; 0: those the plan was made for
  int ranks = 0;        ///< 0: as many as the plan has
  double timeout = 300; ///< seconds that a rank waits for others that do not move
  std::string metrics;
  std::string trace;
  std::string weights;
  std::string saveWeights;
};

/// Reads the command line. Nothing if there is nothing to run (--help, a wrong option): `exitCode`
/// then says how to leave, and the message has been printed.
std::optional<RunOptions> parseOptions(int argc, char **argv, int &exitCode);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DS_RUN_OPTIONS_H
