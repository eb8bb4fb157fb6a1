//===- Cuda.h - GPUs, through a library of their own ------------------------------------------===//
//
// Everything that knows CUDA is in libds_cuda.so (cuda/, ../kernels/cuda, ../comm/nccl,
// ../comm/loopback), which is opened when a plan asks for it: ds-run starts, and runs plans for the
// CPU, on machines that have neither.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_H

#include "runtime/device/Device.h"
#include "runtime/kernels/cuda/StoredGraph.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard::runtime {

/// Bytes of a rank's host window by which ranks tell each other how to meet on their GPUs.
inline constexpr uint64_t kExchangeBytes = 4096;

/// A rank and what it needs of its GPU.
struct CudaOptions {
  struct Code {
    std::string_view target; ///< "sm_90", "compute_80"
    std::string_view image;
  };

  int rank = 0;
  int ranks = 1;
  /// Ranks are threads of this process on its first GPU, and meet by events and copies; else each
  /// is a process with the GPU of its number, and they meet by NCCL.
  bool ranksShareGpu = false;
  std::string libraries;           ///< where NVIDIA's are looked for first; may be empty
  std::vector<Code> code;          ///< of generated kernels; must outlive the device
  std::vector<StoredGraph> graphs; ///< of the plan
  /// All ranks in host memory, and this rank's window there of kExchangeBytes; null: one rank.
  Communicator *everyone = nullptr;
  char *exchange = nullptr;
  /// How long a step may wait for a GPU that does not move.
  std::chrono::milliseconds timeout = std::chrono::hours(1);
  /// Called now and then during a wait; throws Error if the job was ended. May be empty.
  std::function<void()> throwIfAborted;
};

/// The GPU of a rank. Throws Error: the library is missing or of another build; there is no driver,
/// one that is too old, or not enough GPUs for the ranks.
std::unique_ptr<Device> openCuda(const CudaOptions &options);

/// The name of the library's one function and its type. It returns null if `build` is not its own
/// (see kCudaBuild) and throws Error as `openCuda` does; the caller owns the device.
inline constexpr const char *kCudaEntry = "deepshardCudaDevice";
using CudaEntry = Device *(const char *build, const CudaOptions *options);

/// The interface of Device.h as both sides were compiled: project, compiler, number of the
/// interface, which a change to Device.h, Kernel.h, Communicator.h, GraphCompiler.h or CudaOptions
/// raises.
#define DEEPSHARD_CUDA_INTERFACE "4"
inline constexpr const char *kCudaBuild =
    "DeepShard " DEEPSHARD_VERSION ", interface " DEEPSHARD_CUDA_INTERFACE ", g++ " __VERSION__;

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_H
