//===- Device.cpp - a GPU of NVIDIA's as a device ---------------------------------------------===//

#include "runtime/device/cuda/Device.h"

#include "runtime/comm/loopback/LoopbackCommunicator.h"
#include "runtime/device/cuda/Check.h"
#include "runtime/device/cuda/Kernels.h"
#include "runtime/device/cuda/Peaks.h"
#include "runtime/device/cuda/TaskClock.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace deepshard::runtime::cuda {

namespace {

/// "13.0" of 13000.
std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Any driver of the runtime's major version, or a later one, will do.
void requireDriver() {
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion", ExitCode::BadInput);
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion", ExitCode::BadInput);
  int major = runtime / 1000;
  if (driver == 0)
    throw Error(fmt::format("the plan is for CUDA, but this machine has no NVIDIA driver: install "
                            "one for CUDA {} or newer, or plan for the CPU",
                            major));
  if (driver / 1000 < major)
    throw Error(fmt::format("the NVIDIA driver of this machine offers CUDA {}, this DeepShard "
                            "needs {} or newer: install a newer driver",
                            versionText(driver), major));
}

/// Makes the rank's GPU the one of this thread.
void selectGpu(const CudaOptions &options) {
  requireDriver();
  int count = 0;
  cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaErrorNoDevice)
    throw Error("the plan is for CUDA, but the NVIDIA driver finds no GPU: is one hidden by "
                "CUDA_VISIBLE_DEVICES, or not given to this container?");
  check(result, "cudaGetDeviceCount", ExitCode::BadInput);
  int ordinal = options.ranksShareGpu ? 0 : options.rank;
  // Said by every rank, whatever else one of them lacks.
  if (!options.ranksShareGpu && options.ranks > count)
    throw Error(fmt::format("the plan has {} ranks, this machine {} GPU{}; --share-gpu lets all "
                            "ranks share the first",
                            options.ranks, count, count == 1 ? "" : "s"));
  check(cudaSetDevice(ordinal), "cudaSetDevice", ExitCode::BadInput);
}

/// Of the memory of this thread's GPU.
uint64_t takenBytes() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return total - free;
}

/// Before any member of the device is made.
const CudaOptions &selected(const CudaOptions &options) {
  selectGpu(options);
  return options;
}

} // namespace

CudaDevice::CudaDevice(const CudaOptions &given)
    : options(selected(given)), streams([this](cudaStream_t stream) { wait(stream); }) {
  use.before = takenBytes();
  if (options.ranks > 1)
    (void)world();
}

/// Ranks that do not share a GPU meet by NCCL: several at once, one when its plan has something for
/// others to reach or a collective. Null where they share one.
NcclWorld *CudaDevice::world() {
  if (!nccl && options.everyone && !options.ranksShareGpu)
    nccl = std::make_unique<NcclWorld>(options, streams);
  return nccl.get();
}

std::unique_ptr<Arena> CudaDevice::arena(Space space, uint64_t bytes) {
  if (space == Space::Host || space == Space::Pinned)
    return std::make_unique<PinnedArena>(bytes);
  NcclWorld *reached = space == Space::Window ? world() : nullptr;
  const uint64_t before = takenBytes();
  std::unique_ptr<Arena> arena;
  if (reached)
    arena = reached->window(bytes);
  else
    arena = std::make_unique<DeviceArena>(bytes);
  const uint64_t after = takenBytes();
  use.count += bytes > 0 ? 1 : 0;
  use.arenas += bytes;
  use.arenasTook += after - std::min(before, after);
  if (bytes > 0)
    clear(arena->data(), bytes);
  return arena;
}

std::optional<DeviceBytes> CudaDevice::bytes() const {
  DeviceBytes now = use;
  now.taken = takenBytes();
  return now;
}

const KernelProvider *CudaDevice::provider(std::string_view name) {
  if (name == "generated") {
    if (!generated)
      generated.emplace(options.code, streams);
    return &*generated;
  }
  if (name == "cudnn") {
    if (!cudnn)
      cudnn.emplace(openGraphLibrary(options.libraries, std::move(options.graphs)),
                    *provider("cuda"), streams);
    return &*cudnn;
  }
  if (name == "cublaslt") {
    if (!cublaslt)
      cublaslt.emplace(options.libraries, streams);
    return &*cublaslt;
  }
  if (name == "cuda") {
    if (!own)
      own.emplace(builtIn, streams);
    return &*own;
  }
  return nullptr;
}

std::unique_ptr<Communicator> CudaDevice::communicator(std::unique_ptr<Communicator> host,
                                                       std::span<const int> members) {
  if (world())
    return nccl->communicator(std::move(host), members);
  canCapture = canCapture && members.size() == 1;
  return std::make_unique<LoopbackCommunicator>(std::move(host), options.exchange, builtIn,
                                                streams);
}

/// A copy from memory that is not pinned may end after its call, and our streams do not wait for
/// it.
void CudaDevice::write(char *to, const void *from, uint64_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "cudaMemcpy");
  check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
}

void CudaDevice::read(void *to, const char *from, uint64_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "cudaMemcpy");
}

void CudaDevice::reserveStaging(uint64_t bytes) { staging = std::make_unique<PinnedArena>(bytes); }

/// What was staged is not touched again before all streams were joined at the end of the step.
char *CudaDevice::stage(char *, uint64_t bytes) {
  if (!staging || bytes > staging->size() - stagedBytes)
    throw Error("a step stages more than was reserved", ExitCode::Internal);
  char *place = staging->data() + stagedBytes;
  stagedBytes += (bytes + kStagingAlignment - 1) / kStagingAlignment * kStagingAlignment;
  return place;
}

void CudaDevice::send(char *to, const char *staged, uint64_t bytes) {
  check(cudaMemcpyAsync(to, staged, bytes, cudaMemcpyDefault, streams.current()),
        "cudaMemcpyAsync");
}

void CudaDevice::mark(uint64_t number) {
  builtIn.mark(streams.currentMark(), number, streams.current());
}

uint64_t CudaDevice::marked(const Stream &stream) const {
  return *static_cast<const CudaStream &>(stream).mark();
}

void CudaDevice::beginStep() {
  stagedBytes = 0;
  streams.clearMarks();
}

/// Ranks that are threads meet on the host in each collective, which a graph cannot repeat.
std::unique_ptr<Graph> CudaDevice::capture(const std::function<void()> &issue) {
  return canCapture ? streams.capture(issue) : nullptr;
}

std::unique_ptr<TaskClock> CudaDevice::clock(size_t parts) {
  return std::make_unique<CudaTaskClock>(streams, parts);
}

MachinePeaks CudaDevice::measurePeaks(DType products, int) {
  return cuda::measurePeaks(*this, products);
}

/// Looks again and again, so that a rank does not wait for others that have failed.
void CudaDevice::wait(cudaStream_t stream) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPromptly = std::chrono::microseconds(200);
  constexpr auto kBetweenChecks = std::chrono::milliseconds(10);
  const Clock::time_point start = Clock::now();
  Clock::time_point checked = start;
  while (true) {
    cudaError_t result = cudaStreamQuery(stream);
    if (result != cudaErrorNotReady)
      return check(result, "cudaStreamQuery");
    const Clock::time_point now = Clock::now();
    if (now - start < kPromptly)
      continue;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    if (now - checked < kBetweenChecks)
      continue;
    checked = now;
    if (options.throwIfAborted)
      options.throwIfAborted();
    if (nccl)
      nccl->throwIfFailed();
    hangs = hangs || now - start >= options.timeout;
    if (hangs) // who waits next does not wait as long again
      throw Error(fmt::format("the GPU did not finish its work within {:g} s (--timeout): {}",
                              std::chrono::duration<double>(options.timeout).count(),
                              options.ranks > 1 ? "another rank may have failed"
                                                : "a kernel hangs, or a step takes longer"),
                  ExitCode::RankFailed);
  }
}

} // namespace deepshard::runtime::cuda
