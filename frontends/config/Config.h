/// The training configuration: DeepSpeed's ds_config.json, read strictly.
///
/// DeepSpeed's arithmetic, defaults and formulas hold; what it ignores silently is an error here.
/// docs/config.md lists the keys.
#pragma once

#include "frontends/config/Diagnostic.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

struct Optimizer {
  std::string type =
      "AdamW"; ///< "AdamW" (decoupled weight decay) or "Adam" (decay added to the gradient)
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8; ///< outside the bias-corrected root
  double weightDecay = 0;
  bool biasCorrection = true;
  bool adamWMode = true; ///< the same as type == "AdamW"
};

struct Scheduler {
  std::string
      type; ///< "WarmupLR", "WarmupDecayLR", "WarmupCosineLR"; empty: constant learning rate
  /// Every numeric parameter of the type under DeepSpeed's name, defaults filled in. warmup_max_lr
  /// of WarmupLR is the optimizer's lr if absent; WarmupCosineLR scales the optimizer's lr.
  std::map<std::string, double> numbers;
  std::string warmupType = "log"; ///< "log" or "linear"
};

struct Mesh {
  int64_t data = 1;
  int64_t tensor = 1;
  int64_t pipe = 1;
};

struct TrainingConfig {
  int64_t trainBatch =
      0; ///< samples a step over all ranks = microBatch x accumulation x data-parallel size
  int64_t microBatch = 0;   ///< samples of one rank's micro-batch
  int64_t accumulation = 1; ///< micro-batches a step
  int64_t dataParallel = 1;
  std::optional<Optimizer> optimizer; ///< absent only when not training
  Scheduler scheduler;
  double gradientClipping = 1.0; ///< bound of the gradient's global L2 norm; 0: off
  int64_t stepsPerPrint = 0;     ///< 0: not given
  Mesh mesh;
  int64_t bucketSize = 33554432; ///< elements
  uint64_t hash = 0;             ///< XXH3-64 of str()

  /// Every setting in effect, one `key = value` a line, floats exact.
  std::string str() const;
};

struct ConfigOptions {
  /// `KEY=VALUE` each, applied in order: KEY dotted, VALUE read as JSON, else taken as a string. A
  /// KEY that begins with a key of the section "deepshard" (mesh.data) stands for deepshard.KEY.
  std::vector<std::string> overrides;
  int64_t dataParallelSize = 1;
  bool training = true; ///< false: optimizer and batch sizes may be absent (micro-batch 1)
};

struct ConfigResult {
  std::optional<TrainingConfig> config;
  std::vector<Diagnostic> errors; ///< all faults; empty if and only if `config` is set
  std::vector<Diagnostic>
      notes; ///< worth telling: keys accepted without effect, defaults that surprise
};

/// Reads the file at `path`.
ConfigResult parseConfigFile(const std::string &path, const ConfigOptions &options = {});

/// Reads `text`; `name` stands for the file's name in messages.
ConfigResult parseConfigText(std::string_view text, const std::string &name,
                             const ConfigOptions &options = {});

} // namespace deepshard
