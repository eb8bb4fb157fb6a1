//===- Device.h - a GPU of NVIDIA's as a device -----------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_DEVICE_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_DEVICE_H

#include "runtime/comm/nccl/Nccl.h"
#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Arena.h"
#include "runtime/device/cuda/BuiltIn.h"
#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/cuda/Cublaslt.h"
#include "runtime/kernels/cuda/CudaProvider.h"
#include "runtime/kernels/cuda/Cudnn.h"
#include "runtime/kernels/cuda/Generated.h"

#include <optional>

namespace deepshard::runtime::cuda {

class CudaDevice final : public Device {
public:
  /// Throws Error, see openCuda.
  explicit CudaDevice(const CudaOptions &options);

  std::unique_ptr<Arena> arena(Space space, uint64_t bytes) override;
  std::optional<DeviceBytes> bytes() const override;
  std::unique_ptr<Stream> stream(const std::string &) override { return streams.add(); }
  std::unique_ptr<Event> event() override { return std::make_unique<CudaEvent>(); }
  const KernelProvider *provider(std::string_view name) override;
  std::unique_ptr<Communicator> communicator(std::unique_ptr<Communicator> host,
                                             std::span<const int> members) override;
  bool isHost() const override { return false; }
  void write(char *to, const void *from, uint64_t bytes) override;
  void read(void *to, const char *from, uint64_t bytes) override;
  char *stage(char *to, uint64_t bytes) override;
  void send(char *to, const char *staged, uint64_t bytes) override;
  void copy(const StridedCopy &copy) override { builtIn.copy(copy, streams.current()); }
  void mark(uint64_t number) override;
  uint64_t marked(const Stream &stream) const override;
  void throwIfFailed() override { streams.throwIfFailed(); }
  void reserveStaging(uint64_t bytes) override;
  void beginStep() override;
  std::unique_ptr<Graph> capture(const std::function<void()> &issue) override;
  std::unique_ptr<TaskClock> clock(size_t parts) override;
  MachinePeaks measurePeaks(DType products, int threads) override;

private:
  void wait(cudaStream_t stream);
  NcclWorld *world();

  CudaOptions options;
  BuiltIn builtIn;
  Streams streams;
  std::optional<GeneratedProvider> generated;
  std::optional<CublasltProvider> cublaslt;
  std::optional<CudnnProvider> cudnn;
  std::optional<CudaProvider> own;
  std::unique_ptr<NcclWorld> nccl;
  std::unique_ptr<PinnedArena> staging;
  uint64_t stagedBytes = 0;
  DeviceBytes use;        // but for what is taken now
  bool hangs = false;     // it has not ended its work in time
  bool canCapture = true; // no collective between threads of this process
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_DEVICE_H
