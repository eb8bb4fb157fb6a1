//===- LossScale.h - the rule of dynamic loss scaling -----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_LOSSSCALE_H
#define DEEPSHARD_RUNTIME_KERNELS_LOSSSCALE_H

#include "runtime/kernels/HostDevice.h"

#include <cstdint>

namespace deepshard::runtime {

class Attributes;

/// Attributes of `update_loss_scale`; `graph.update_loss_scale` has the table.
struct LossScaleRule {
  int64_t window;
  double hysteresis;
  bool consecutive;
  double minimum;

  static LossScaleRule of(const Attributes &attributes);

  /// The state is the scale, clean steps, what is left of the hysteresis, and skipped steps; `next`
  /// may be `state`.
  DS_HOST_DEVICE void update(const double *state, bool isFinite, double *next) const {
    double scale = state[0], clean = state[1], left = state[2], skipped = state[3];
    if (!isFinite) {
      if (window > 0 && left == 1)
        scale = scale == minimum ? 0 : scale / 2 < minimum ? minimum : scale / 2;
      else if (window > 0)
        --left;
      clean = 0;
      ++skipped;
    } else {
      const bool grows = window > 0 && clean > 0 && static_cast<int64_t>(clean) % window == 0;
      if (grows)
        scale *= 2;
      if (grows || consecutive)
        left = hysteresis;
      ++clean;
    }
    next[0] = scale;
    next[1] = clean;
    next[2] = left;
    next[3] = skipped;
  }
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_LOSSSCALE_H
