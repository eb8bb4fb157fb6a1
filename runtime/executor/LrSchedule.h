//===- LrSchedule.h - the learning rate of each step ------------------------------------------===//
//
// DeepSpeed's schedules, formula by formula. DeepSpeed applies the optimizer first and advances the
// schedule then; at construction the schedule stands at t = -1. So step k (from 1) uses the
// learning rate of t = k - 2:
//
//   N = max(2, warmup_num_steps);  T = total_num_steps
//   gamma(t) for 0 <= t < N:  log: ln(t + 1) / ln(N)    linear: t / N
//
//   WarmupLR         t < 0: min    t < N: min + (max - min) gamma(t)    then: max
//   WarmupDecayLR    t < 0: min    t < N: the same    then: min + (max - min) max(0, (T - t) /
//   max(1, T - N)) WarmupCosineLR   t < 0: 0      t < N: lr (w + (1 - w) gamma(t))
//                    then: lr max(0, c + (1 - c) (1 + cos(pi min(1, (t - N + 1) / max(1, T - N))))
//                    / 2)
//
// min, max: warmup_min_lr (0), warmup_max_lr (WarmupLR: the optimizer's lr; WarmupDecayLR: 1e-3);
// w, c: warmup_min_ratio (0), cos_min_ratio (1e-4); warmup_num_steps 1000, warmup_type log; lr: the
// optimizer's.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_LRSCHEDULE_H
#define DEEPSHARD_RUNTIME_EXECUTOR_LRSCHEDULE_H

#include <cstdint>

namespace deepshard::planpb {
class Training;
}

namespace deepshard::runtime {

class LrSchedule {
public:
  /// Throws Error if the schedule is not known, a number is missing, or a number's name is not
  /// known.
  explicit LrSchedule(const planpb::Training &training);

  /// Learning rate that step `step` (from 1) uses.
  double at(uint64_t step) const;

private:
  enum class Kind { Constant, Warmup, WarmupDecay, WarmupCosine };

  double warmup(double t) const;

  Kind kind = Kind::Constant;
  bool isLinear = false;
  double rate = 0; // the optimizer's own
  double lowest = 0;
  double highest = 0;
  double warmupSteps = 2;
  double totalSteps = 0;
  double warmupRatio = 0;
  double cosineRatio = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_LRSCHEDULE_H
