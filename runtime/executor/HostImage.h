//===- HostImage.h - the parameters of a device in memory of the host -------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_HOSTIMAGE_H
#define DEEPSHARD_RUNTIME_EXECUTOR_HOSTIMAGE_H

#include "runtime/device/cpu/Device.h"
#include "runtime/executor/Memory.h"

#include <set>

namespace deepshard::runtime {

/// A second memory of the same rank, in which host code reads and writes parameters (Weights.h).
/// All of it exists, but only the buckets of parameters are ever touched and take memory.
class HostImage {
public:
  /// All arguments must outlive this. Throws Error if the host does not have the memory.
  HostImage(const planpb::Plan &plan, const Memory &ofDevice, Device &device);

  const Memory &memory() const { return image; }
  /// Copies the buckets of all parameters to the device, or from it. Throw Error.
  void upload();
  void download();

private:
  template <typename Move> void forEachBucket(const Move &move);

  const Memory &ofDevice;
  Device &device;
  CpuDevice host;
  Memory image;
  std::set<uint32_t> buckets;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_HOSTIMAGE_H
