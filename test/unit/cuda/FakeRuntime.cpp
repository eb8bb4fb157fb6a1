//===- FakeRuntime.cpp - the functions of the CUDA runtime, without a GPU ---------------------===//

#include "test/unit/cuda/FakeCuda.h"
#include "test/unit/cuda/FakeKernels.h"
#include "test/unit/gpu/PtxInterpreter.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>

using deepshard::runtime::test::builtInKernel;
using deepshard::runtime::test::FakeCuda;
using deepshard::runtime::test::FakeSettings;
using deepshard::runtime::test::hasBuiltInKernel;

namespace {
using Work = std::function<bool()>;
}

// NVIDIA's names of what handles point to.
struct CUevent_st {
  int number;
  uint64_t issued = 0;
  uint64_t completed = 0;
  uint64_t time = 0;           // when it happened last; 0: never
  CUgraph_st *graph = nullptr; // in which it was recorded last
  size_t node = 0;
};
struct CUstream_st {
  int number;
  int device;
  std::deque<Work> queue = {};
  CUgraph_st *graph = nullptr; // being captured
};
struct CUgraph_st {
  struct Node {
    CUstream_st *stream;
    Work work;           // null: a record or a wait
    size_t waitsFor = 0; // the index of a record + 1
  };
  CUstream_st *origin = nullptr;
  std::set<CUstream_st *> open; // joined, and not yet back
  std::vector<Node> nodes;

  void add(Node node) {
    if (node.stream != origin)
      open.insert(node.stream);
    nodes.push_back(std::move(node));
  }
};
struct CUgraphExec_st {
  std::vector<CUgraph_st::Node> nodes;
};
struct CUlib_st {
  std::map<std::string, std::unique_ptr<CUkern_st>> kernels;
  std::map<std::string, deepshard::ptx::Function> code;
};
struct CUkern_st {
  std::string name;
  const deepshard::ptx::Function *code; // null: a function of the host
};

namespace {

/// A setting that a program in another process is given.
int fromEnvironment(const char *name, int otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}

class Fake final : public FakeCuda {
public:
  Fake() {
    streams.push_back(&legacy);
    settings.driver = fromEnvironment("DEEPSHARD_FAKE_DRIVER", settings.driver);
    settings.devices = fromEnvironment("DEEPSHARD_FAKE_DEVICES", settings.devices);
    settings.capability = fromEnvironment("DEEPSHARD_FAKE_CAPABILITY", settings.capability);
    if (const char *kernel = std::getenv("DEEPSHARD_FAKE_HANGING"))
      settings.hanging = kernel;
  }
  void reset(const FakeSettings &given) override {
    std::lock_guard lock(mutex);
    settings = given;
    for (const auto &stream : leftBehind)
      std::erase(streams, stream.get());
    leftBehind.clear();
    events.clear();
    libraries.clear();
    retired.clear();
    random.seed(given.seed);
    kernels.clear();
    log.clear();
    callCount = 0;
    callCounts.clear();
    failedCall.clear();
    hasFault = false;
    streamCount = eventCount = 0;
  }
  void addKernel(const std::string &name, size_t operands,
                 std::function<void(const std::vector<void *> &)> function) override {
    kernels[name] = {operands, std::move(function)};
  }
  std::vector<std::string> takeLog() override {
    std::lock_guard lock(mutex);
    return std::move(log);
  }
  uint64_t calls() const override { return callCount; }
  std::map<std::string, uint64_t> callsByName() const override { return callCounts; }
  std::string failed() const override { return failedCall; }
  int64_t alive() const override { return aliveCount; }
  void addAlive(int64_t count) override { aliveCount += count; }
  void retire(void *memory) override {
    std::lock_guard lock(mutex);
    retired.emplace_back(memory, std::free);
  }
  bool fails(const char *name) override {
    std::lock_guard lock(mutex);
    uint64_t number = ++callCount, ofName = ++callCounts[name];
    if (!settings.failing.empty())
      number = settings.failing == name ? ofName : 0;
    if (number == 0 || number != settings.failAt)
      return false;
    failedCall = name;
    return true;
  }
  void issue(cudaStream_t stream, const std::string &name, Work work) override {
    std::lock_guard lock(mutex);
    enqueue(stream, name, std::move(work));
  }

  /// The result of a call if it is to fail.
  cudaError_t begin(const char *name) {
    if (fails(name))
      return cudaErrorUnknown;
    return hasFault ? cudaErrorIllegalAddress : cudaSuccess;
  }
  bool isOnDevice(const void *address) const {
    auto next = allocations.upper_bound(const_cast<void *>(address));
    if (next == allocations.begin())
      return false;
    --next;
    return static_cast<const char *>(address) < static_cast<char *>(next->first) + next->second;
  }
  /// Work of the stream that others do not wait for, and that waits for none of them.
  void issueToLegacy(Work work) { legacy.queue.push_back(std::move(work)); }
  void finishLegacy() {
    run([this] { return legacy.queue.empty(); });
  }
  void note(const std::string &text, cudaStream_t stream) {
    log.push_back(text + " @" + std::to_string(stream->number));
  }
  void enqueue(cudaStream_t stream, const std::string &text, Work work) {
    note(text, stream);
    if (stream->graph)
      stream->graph->add({stream, std::move(work)});
    else
      stream->queue.push_back(std::move(work));
  }

  /// Runs the heads of queues that can run, in random order, until `done` or nothing moves.
  template <typename Done> void run(const Done &done) {
    while (!done()) {
      std::vector<CUstream_st *> busy;
      for (CUstream_st *stream : streams)
        if (!stream->queue.empty())
          busy.push_back(stream);
      std::shuffle(busy.begin(), busy.end(), random);
      bool moved = false;
      for (CUstream_st *stream : busy)
        if (stream->queue.front()()) {
          stream->queue.pop_front();
          moved = true;
          break;
        }
      if (!moved)
        return;
    }
  }

  /// The nodes of a graph as one piece of work: those of each stream in order, records before
  /// waits.
  Work replay(const std::vector<CUgraph_st::Node> &nodes) {
    struct State {
      std::vector<CUgraph_st::Node> nodes;
      std::vector<bool> isDone;
      size_t left;
    };
    auto state =
        std::make_shared<State>(State{nodes, std::vector<bool>(nodes.size()), nodes.size()});
    return [this, state] {
      for (bool moved = true; moved && state->left > 0;) {
        moved = false;
        std::set<CUstream_st *> blocked;
        for (size_t i = 0; i < state->nodes.size(); ++i) {
          CUgraph_st::Node &node = state->nodes[i];
          if (state->isDone[i] || blocked.contains(node.stream))
            continue;
          // A stream may pause before any node.
          bool canRun = random() % 4 != 0 &&
                        (node.waitsFor == 0 || state->isDone[node.waitsFor - 1]) &&
                        (!node.work || node.work());
          if (!canRun) {
            blocked.insert(node.stream);
            continue;
          }
          state->isDone[i] = moved = true;
          --state->left;
        }
        if (!moved && random() % 8 != 0)
          moved = true;
      }
      return state->left == 0;
    };
  }

  struct Kernel {
    size_t operands;
    std::function<void(const std::vector<void *> &)> function;
  };
  std::recursive_mutex mutex;
  FakeSettings settings;
  std::mt19937 random;
  std::map<std::string, Kernel> kernels;
  std::vector<std::string> log;
  std::atomic<uint64_t> callCount = 0;
  std::map<std::string, uint64_t> callCounts;
  std::string failedCall;
  bool hasFault = false; // every call fails from then on
  std::atomic<int64_t> aliveCount = 0;
  std::map<void *, size_t> allocations; // of the device
  std::vector<std::unique_ptr<void, void (*)(void *)>> retired;
  size_t deviceBytes = 0;
  CUstream_st legacy{-1, 0};
  std::vector<CUstream_st *> streams;
  std::vector<std::unique_ptr<CUstream_st>> leftBehind; // destroyed streams that had work
  std::vector<std::unique_ptr<CUevent_st>> events;      // destroyed ones
  std::vector<std::unique_ptr<CUlib_st>> libraries;     // unloaded ones
  int streamCount = 0, eventCount = 0;
  uint64_t now = 0; // events that have happened
};

Fake &fake() {
  static Fake instance;
  return instance;
}

thread_local int currentDevice = 0;

Work once(std::function<void()> work) {
  return [work = std::move(work)] {
    work();
    return true;
  };
}

} // namespace

extern "C" __attribute__((visibility("default"))) FakeCuda *deepshardFakeCuda() { return &fake(); }

#define DEEPSHARD_CALL(name)                                                                       \
  std::lock_guard lock(fake().mutex);                                                              \
  if (cudaError_t error = fake().begin(#name); error != cudaSuccess)                               \
  return error

extern "C" {

cudaError_t cudaDriverGetVersion(int *version) {
  DEEPSHARD_CALL(cudaDriverGetVersion);
  *version = fake().settings.driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
  DEEPSHARD_CALL(cudaRuntimeGetVersion);
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count) {
  DEEPSHARD_CALL(cudaGetDeviceCount);
  *count = fake().settings.devices;
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaSetDevice(int device) {
  DEEPSHARD_CALL(cudaSetDevice);
  currentDevice = device;
  return device < fake().settings.devices ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDevice(int *device) {
  DEEPSHARD_CALL(cudaGetDevice);
  *device = currentDevice;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int) {
  DEEPSHARD_CALL(cudaDeviceGetAttribute);
  int capability = fake().settings.capability;
  *value = attribute == cudaDevAttrMultiProcessorCount ? deepshard::runtime::test::kFakeProcessors
           : attribute == cudaDevAttrComputeCapabilityMajor ? capability / 10
                                                            : capability % 10;
  return cudaSuccess;
}
const char *cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorUnknown ? "cudaErrorUnknown" : "another error";
}
const char *cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorUnknown                    ? "made to fail"
         : error == cudaErrorIllegalAddress           ? "an illegal memory access"
         : error == cudaErrorStreamCaptureIsolation   ? "capture: isolation"
         : error == cudaErrorStreamCaptureUnjoined    ? "capture: unjoined"
         : error == cudaErrorStreamCaptureUnsupported ? "capture: not permitted"
         : error == cudaErrorInvalidValue             ? "an invalid value"
                                                      : "another error";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  DEEPSHARD_CALL(cudaEventCreateWithFlags);
  if (flags != cudaEventDisableTiming && flags != cudaEventDefault)
    return cudaErrorInvalidValue;
  *event = new CUevent_st{fake().eventCount++};
  ++fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::lock_guard lock(fake().mutex);
  fake().run([] { return false; });
  fake().events.emplace_back(event); // work that is still queued may name it
  --fake().aliveCount;
  return cudaSuccess;
}
// A millisecond from one record that has happened to the next.
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
  DEEPSHARD_CALL(cudaEventElapsedTime);
  if (!from->time || !to->time)
    return cudaErrorNotReady;
  *milliseconds = static_cast<float>(to->time) - static_cast<float>(from->time);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  DEEPSHARD_CALL(cudaEventRecord);
  fake().note("record " + std::to_string(event->number), stream);
  event->graph = stream->graph;
  if (stream->graph) {
    event->node = stream->graph->nodes.size();
    stream->graph->add({stream, nullptr});
    return cudaSuccess;
  }
  uint64_t ticket = ++event->issued;
  stream->queue.push_back(once([event, ticket] {
    event->completed = ticket;
    event->time = ++fake().now;
  }));
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  DEEPSHARD_CALL(cudaStreamWaitEvent);
  fake().note("wait " + std::to_string(event->number), stream);
  if (event->graph) {
    if (stream->graph && stream->graph != event->graph)
      return cudaErrorStreamCaptureIsolation;
    if (!stream->graph) { // joins the capture
      if (!event->graph->origin)
        return cudaErrorInvalidValue; // recorded in a capture that has ended
      stream->graph = event->graph;
    }
    CUgraph_st &graph = *event->graph;
    CUstream_st *other = graph.nodes[event->node].stream;
    // A record of `other` that nothing followed brings it back.
    bool isLast = true;
    for (size_t i = event->node + 1; i < graph.nodes.size(); ++i)
      isLast = isLast && graph.nodes[i].stream != other;
    if (stream == graph.origin && isLast)
      graph.open.erase(other);
    graph.add({stream, nullptr, event->node + 1});
    return cudaSuccess;
  }
  if (stream->graph)
    return cudaErrorStreamCaptureIsolation;
  uint64_t ticket = event->issued;
  stream->queue.push_back([event, ticket] { return event->completed >= ticket; });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
  DEEPSHARD_CALL(cudaStreamCreateWithFlags);
  if (flags != cudaStreamNonBlocking)
    return cudaErrorInvalidValue;
  *stream = new CUstream_st{fake().streamCount++, currentDevice};
  fake().streams.push_back(*stream);
  ++fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::lock_guard lock(fake().mutex);
  // As CUDA's, it returns at once, and the work goes on.
  fake().run([&] { return stream->queue.empty(); });
  if (stream->queue.empty()) {
    std::erase(fake().streams, stream);
    delete stream;
  } else {
    fake().leftBehind.emplace_back(stream);
  }
  --fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  DEEPSHARD_CALL(cudaStreamQuery);
  if (stream->graph)
    return cudaErrorStreamCaptureUnsupported;
  fake().run([&] { return stream->queue.empty(); });
  if (fake().hasFault)
    return cudaErrorIllegalAddress;
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  DEEPSHARD_CALL(cudaStreamBeginCapture);
  fake().log.push_back("begin");
  stream->graph = new CUgraph_st;
  stream->graph->origin = stream;
  ++fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  std::lock_guard lock(fake().mutex);
  bool fails = fake().fails("cudaStreamEndCapture");
  fake().log.push_back("end");
  *graph = nullptr;
  CUgraph_st *ended = stream->graph;
  bool isJoined = ended->open.empty();
  for (CUstream_st *each : fake().streams)
    if (each->graph == ended)
      each->graph = nullptr;
  ended->origin = nullptr;
  if (!isJoined || fails) {
    delete ended;
    --fake().aliveCount;
    return fails ? cudaErrorUnknown : cudaErrorStreamCaptureUnjoined;
  }
  *graph = ended;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph,
                                 unsigned long long) {
  DEEPSHARD_CALL(cudaGraphInstantiate);
  *executable = new CUgraphExec_st{graph->nodes};
  ++fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  --fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  DEEPSHARD_CALL(cudaGraphLaunch);
  fake().enqueue(stream, "graph", fake().replay(executable->nodes));
  return cudaSuccess;
}

constexpr size_t kFakeMemory = size_t{1} << 40;

static cudaError_t allocate(void **memory, size_t bytes) {
  *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  std::memset(*memory, 0xa5, bytes); // not zero: who needs zeros asks for them
  ++fake().aliveCount;
  return cudaSuccess;
}
/// As CUDA: what the device has to do is done first. Others may have to go on for that.
static void finishDevice() {
  constexpr auto kPatience = std::chrono::seconds(60);
  const auto start = std::chrono::steady_clock::now();
  auto isIdle = [device = currentDevice] {
    std::lock_guard lock(fake().mutex);
    auto isDone = [&] {
      return fake().hasFault ||
             std::all_of(fake().streams.begin(), fake().streams.end(), [&](CUstream_st *stream) {
               return stream->device != device || stream->queue.empty();
             });
    };
    fake().run(isDone);
    return isDone();
  };
  while (!isIdle()) {
    if (std::chrono::steady_clock::now() - start > kPatience) {
      std::fprintf(stderr, "CUDA waits for work of the device that does not end; failed: %s\n",
                   fake().failedCall.c_str());
      std::abort();
    }
    std::this_thread::yield();
  }
}
static cudaError_t release(void *memory) {
  if (!memory)
    return cudaSuccess;
  finishDevice();
  std::lock_guard lock(fake().mutex);
  fake().retire(memory);
  --fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void **memory, size_t bytes) {
  DEEPSHARD_CALL(cudaMalloc);
  allocate(memory, bytes);
  fake().deviceBytes += fake().allocations[*memory] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned) {
  DEEPSHARD_CALL(cudaHostAlloc);
  return allocate(memory, bytes);
}
cudaError_t cudaFree(void *memory) {
  {
    std::lock_guard lock(fake().mutex);
    fake().deviceBytes -= fake().allocations[memory];
    fake().allocations.erase(memory);
  }
  return release(memory);
}
cudaError_t cudaFreeHost(void *memory) { return release(memory); }
cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
  DEEPSHARD_CALL(cudaMemGetInfo);
  *total = kFakeMemory;
  *free = kFakeMemory - fake().deviceBytes;
  return cudaSuccess;
}
cudaError_t cudaMemset(void *memory, int value, size_t bytes) {
  DEEPSHARD_CALL(cudaMemset);
  fake().issueToLegacy(once([=] { std::memset(memory, value, bytes); }));
  return cudaSuccess;
}
// Streams that do not block are not waited for. What comes from memory of the host that is not
// pinned has been read when the call returns, but may not be there yet.
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
  DEEPSHARD_CALL(cudaMemcpy);
  fake().finishLegacy();
  if (!fake().isOnDevice(to)) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  }
  const char *first = static_cast<const char *>(from);
  fake().issueToLegacy(once([to, staged = std::vector<char>(first, first + bytes)] {
    std::memcpy(to, staged.data(), staged.size());
  }));
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  DEEPSHARD_CALL(cudaStreamSynchronize);
  if (stream) // others are asked again and again, so that a wait can be given up
    return cudaErrorInvalidValue;
  fake().finishLegacy();
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  DEEPSHARD_CALL(cudaMemcpyAsync);
  fake().enqueue(stream, "copy " + std::to_string(bytes),
                 once([=] { std::memcpy(to, from, bytes); }));
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void *to, size_t toPitch, const void *from, size_t fromPitch,
                              size_t width, size_t height, cudaMemcpyKind, cudaStream_t stream) {
  DEEPSHARD_CALL(cudaMemcpy2DAsync);
  if (toPitch < width || fromPitch < width)
    return cudaErrorInvalidValue;
  fake().enqueue(stream, "copy " + std::to_string(width * height), once([=] {
                   for (size_t row = 0; row < height; ++row)
                     std::memcpy(static_cast<char *>(to) + row * toPitch,
                                 static_cast<const char *>(from) + row * fromPitch, width);
                 }));
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  {
    DEEPSHARD_CALL(cudaDeviceSynchronize);
  }
  finishDevice();
  return cudaSuccess;
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *image, cudaJitOption *, void **,
                                unsigned, cudaLibraryOption *, void **, unsigned) {
  DEEPSHARD_CALL(cudaLibraryLoadData);
  *library = new CUlib_st;
  // As of LLVM; of other text only the names count.
  const char *text = static_cast<const char *>(image);
  if (std::strncmp(text, "//", 2) == 0)
    (*library)->code = deepshard::ptx::parse(text);
  ++fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  std::lock_guard lock(fake().mutex);
  fake().libraries.emplace_back(library); // work that is still queued may be its kernels'
  --fake().aliveCount;
  return cudaSuccess;
}
cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name) {
  DEEPSHARD_CALL(cudaLibraryGetKernel);
  std::string text = name;
  auto code = library->code.find(text);
  if (!hasBuiltInKernel(text) && !fake().kernels.contains(text) && code == library->code.end())
    return cudaErrorSymbolNotFound;
  std::unique_ptr<CUkern_st> &entry = library->kernels[text];
  if (!entry)
    entry = std::make_unique<CUkern_st>(
        CUkern_st{text, code == library->code.end() ? nullptr : &code->second});
  *kernel = entry.get();
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *) {
  DEEPSHARD_CALL(cudaFuncGetAttributes);
  attributes->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int value) {
  DEEPSHARD_CALL(cudaFuncSetAttribute);
  return value <= 227 << 10 ? cudaSuccess : cudaErrorInvalidValue;
}
/// Runs in an order that follows from a number; returns what went wrong, or nothing.
static std::function<std::string(uint32_t)> interpreted(const deepshard::ptx::Function &code,
                                                        const cudaLaunchConfig_t &config,
                                                        void **arguments) {
  std::vector<void *> operands;
  for (size_t i = 0; i < code.parameters.size(); ++i)
    operands.push_back(*static_cast<void **>(arguments[i]));
  return [&code, operands, grid = config.gridDim, threads = config.blockDim.x](uint32_t seed) {
    return deepshard::ptx::Interpreter().run(code, {grid.x, grid.y, grid.z}, threads, operands,
                                             seed);
  };
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function,
                                void **arguments) {
  DEEPSHARD_CALL(cudaLaunchKernelExC);
  const auto &launched = *static_cast<const CUkern_st *>(function);
  const std::string &name = launched.name;
  std::function<void()> work;
  if (launched.code || hasBuiltInKernel(name)) {
    auto kernel = launched.code ? interpreted(*launched.code, *config, arguments)
                                : builtInKernel(name, config->gridDim, config->blockDim, arguments);
    work = [name, kernel] {
      std::string fault = kernel(static_cast<uint32_t>(fake().random()));
      if (!fault.empty())
        std::fprintf(stderr, "%s: %s\n", name.c_str(), fault.c_str());
      fake().hasFault = fake().hasFault || !fault.empty();
    };
  } else {
    const Fake::Kernel &kernel = fake().kernels.at(name);
    std::vector<void *> operands;
    for (size_t i = 0; i < kernel.operands; ++i)
      operands.push_back(*static_cast<void **>(arguments[i]));
    work = [function = kernel.function, operands, isFaulty = name == fake().settings.faulty] {
      function(operands);
      fake().hasFault = fake().hasFault || isFaulty;
    };
  }
  fake().enqueue(config->stream, "launch " + name,
                 name == fake().settings.hanging ? [] { return false; } : once(std::move(work)));
  return cudaSuccess;
}

} // extern "C"
