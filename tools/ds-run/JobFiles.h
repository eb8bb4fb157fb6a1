//===- JobFiles.h - the files that all ranks of a run write together --------------------------===//

#ifndef DEEPSHARD_TOOLS_DS_RUN_JOBFILES_H
#define DEEPSHARD_TOOLS_DS_RUN_JOBFILES_H

#include "runtime/plan/File.h"
#include "runtime/trace/Timeline.h"
#include "tools/ds-run/Options.h"

#include <cstdio>
#include <memory>
#include <vector>

namespace deepshard {

/// Weights and time line. They are opened before the training, so that a place that cannot be
/// written to is found early; ranks in forked processes write their shares; who made this makes the
/// whole visible when all ranks are done.
class JobFiles {
public:
  /// Throws runtime::Error.
  JobFiles(const RunOptions &options, int ranks);

  /// Null if no weights are to be saved.
  runtime::OutputFile *weights() const { return weightsFile.get(); }
  /// Keeps one rank's part of the time line. Throws runtime::Error.
  void writeTrace(int rank, const runtime::Timeline &timeline) const;

  /// Throw runtime::Error.
  void commitTrace();
  void commitWeights();

private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };

  std::unique_ptr<runtime::OutputFile> weightsFile;
  std::unique_ptr<runtime::OutputFile> traceFile;
  std::vector<std::unique_ptr<std::FILE, Close>> traceParts; // per rank; they have no name
};

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DS_RUN_JOBFILES_H
