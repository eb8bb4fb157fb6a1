//===- Metrics.h - one JSON object per step ---------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_METRICS_H
#define DEEPSHARD_RUNTIME_TRACE_METRICS_H

#include "runtime/device/Device.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace deepshard::runtime {

/// The numbers of a step.
struct StepMetrics {
  uint64_t step = 0;                                 ///< from 1
  std::vector<std::pair<std::string, double>> model; ///< "loss", "grad_norm", ...
  double learningRate = 0;                           ///< written as "lr"
  double stepSeconds = 0;
  double tokensPerSecond = 0; ///< samples where the model has no tokens
  uint64_t samples = 0;       ///< consumed since the start of the run
  uint64_t peakBytes = 0;     ///< largest resident size that a rank has had
  uint64_t plannedBytes = 0;
  std::optional<DeviceBytes> device; ///< of rank 0's
};

/// Writes metrics as JSON lines, each complete in the file when `write` returns. Numbers that are
/// not finite are null.
class MetricsWriter {
public:
  /// Replaces `path`. Throws Error.
  explicit MetricsWriter(const std::string &path);
  /// Throws Error (disk full and the like).
  void write(const StepMetrics &metrics);

private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  std::string path;
  std::unique_ptr<std::FILE, Close> file;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_METRICS_H
