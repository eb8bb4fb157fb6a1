//===- Options.h - the command line of ds-opt when it plans a model ---------------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_OPTIONS_H
#define DEEPSHARD_TOOLS_DSOPT_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace deepshard {

/// What to write: the IR after a phase, in their order, or the plan. Step is the logical step, of
/// which the later phases make the step of a rank.
enum class Emit { Graph, Step, Annotated, Partitioned, PlanIr, Plan };

struct Options {
  std::string model;
  std::string config;
  std::string cluster;
  std::vector<std::string> overrides; ///< `--set KEY=VALUE`
  std::vector<std::string> inputs;    ///< `--input NAME=DTYPE[AxBxC]`
  std::string output;                 ///< empty: standard output (IR only)
  std::string loss; ///< name of the output to minimise; empty: the only float scalar
  Emit emit = Emit::Plan;
  bool f64 = false;
  int64_t ranks = 0;         ///< must be the product of the mesh axes; 0: is that product
  int threads = 0;           ///< threads a rank will use; 0: the cores of this machine by the ranks
  double memoryGib = 0;      ///< what a rank may use; 0: what the cluster file says, else no limit
  int64_t foldMib = 64;      ///< largest tensor computed at import
  std::string targetCpu;     ///< CPU level of the machines that will run the plan; this machine's
                             ///< unless it is given
  std::string targetGpu;     ///< "sm_90": the ranks are GPUs; empty: what the cluster file says
  std::string cudaLibraries; ///< where cuDNN is looked for first; empty: as ds-run looks for it
  bool withoutCudnn = false; ///< kernels of cuDNN are not used
  std::string report;        ///< an HTML page about the plan
  std::vector<std::string> whyNot; ///< `--why-not PATTERN=LAYOUT`
  bool explain = false;            ///< print what was decided and why
  bool elide = false;              ///< print large constants as `...`
};

/// Parses the command line. Without a value the program is to stop with `exitCode` (help was
/// printed, or a message about a usage error).
std::optional<Options> parseOptions(int argc, char **argv, int &exitCode);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_OPTIONS_H
