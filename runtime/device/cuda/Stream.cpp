//===- Stream.cpp - streams, events and captured segments of a GPU ----------------------------===//

#include "runtime/device/cuda/Stream.h"

#include "runtime/device/cuda/Check.h"

#include <algorithm>
#include <utility>

namespace deepshard::runtime::cuda {

static cudaEvent_t createEvent() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return event;
}

CudaEvent::CudaEvent() : handle(createEvent()) {}

// What fails here has failed before, or the process ends.
CudaEvent::~CudaEvent() { (void)cudaEventDestroy(handle); }

class CudaGraph final : public Graph {
public:
  /// Takes `graph` over.
  CudaGraph(Streams &streams, cudaGraph_t graph) : streams(streams) {
    cudaError_t result = cudaGraphInstantiate(&executable, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(result, "cudaGraphInstantiate");
  }
  ~CudaGraph() override { (void)cudaGraphExecDestroy(executable); }
  void launch() override { streams.launch(executable); }

private:
  Streams &streams;
  cudaGraphExec_t executable = nullptr;
};

Streams::Streams(std::function<void(cudaStream_t)> wait) : wait(std::move(wait)) {}

std::unique_ptr<CudaStream> Streams::add() {
  auto *mark = reinterpret_cast<uint64_t *>(marks.emplace_back(sizeof(uint64_t)).data());
  auto stream = std::make_unique<CudaStream>(*this, mark);
  all.push_back(stream.get());
  return stream;
}

void Streams::remove(CudaStream &stream) { std::erase(all, &stream); }

cudaStream_t Streams::current() const { return now ? now->handle : nullptr; }

uint64_t *Streams::currentMark() const { return now->mark(); }

void Streams::clearMarks() {
  for (CudaStream *stream : all)
    *stream->mark() = 0;
}

void Streams::throwIfFailed() {
  if (kept)
    std::rethrow_exception(std::exchange(kept, nullptr));
}

/// The other streams join the capture that the first began ...
void Streams::fork() {
  CudaStream &first = *all.front();
  check(cudaEventRecord(first.tail.handle, first.handle), "cudaEventRecord");
  for (size_t i = 1; i < all.size(); ++i)
    check(cudaStreamWaitEvent(all[i]->handle, first.tail.handle, 0), "cudaStreamWaitEvent");
}

/// ... and come back.
void Streams::join() {
  CudaStream &first = *all.front();
  for (size_t i = 1; i < all.size(); ++i) {
    check(cudaEventRecord(all[i]->tail.handle, all[i]->handle), "cudaEventRecord");
    check(cudaStreamWaitEvent(first.handle, all[i]->tail.handle, 0), "cudaStreamWaitEvent");
  }
}

std::unique_ptr<Graph> Streams::capture(const std::function<void()> &issue) {
  cudaStream_t first = all.front()->handle;
  check(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  ++captures;
  isInCapture = true;
  cudaGraph_t graph = nullptr;
  try {
    fork();
    issue();
    join();
  } catch (...) {
    isInCapture = false;
    (void)cudaStreamEndCapture(first, &graph);
    if (graph)
      (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    throw;
  }
  isInCapture = false;
  check(cudaStreamEndCapture(first, &graph), "cudaStreamEndCapture");
  return std::make_unique<CudaGraph>(*this, graph);
}

void Streams::launch(cudaGraphExec_t graph) {
  CudaStream &first = *all.front();
  for (size_t i = 1; i < all.size(); ++i) {
    CudaStream &other = *all[i];
    if (other.hasWork) {
      check(cudaEventRecord(other.tail.handle, other.handle), "cudaEventRecord");
      check(cudaStreamWaitEvent(first.handle, other.tail.handle, 0), "cudaStreamWaitEvent");
    }
    other.hasWork = false;
    other.isBehind = true;
  }
  check(cudaGraphLaunch(graph, first.handle), "cudaGraphLaunch");
  if (all.size() > 1)
    check(cudaEventRecord(head.handle, first.handle), "cudaEventRecord");
}

CudaStream::CudaStream(Streams &streams, uint64_t *mark) : streams(streams), place(mark) {
  check(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

CudaStream::~CudaStream() {
  streams.remove(*this);
  (void)cudaStreamDestroy(handle);
}

/// Before work that is issued to this stream by itself.
void CudaStream::enter() {
  if (streams.isInCapture)
    return;
  if (isBehind) {
    check(cudaStreamWaitEvent(handle, streams.head.handle, 0), "cudaStreamWaitEvent");
    isBehind = false;
  }
  hasWork = true;
}

void CudaStream::issue(Work work, void *context, uint64_t argument) {
  enter();
  streams.now = this;
  work(context, argument);
  streams.now = nullptr;
}

void CudaStream::record(Event &event) {
  enter();
  auto &own = static_cast<CudaEvent &>(event);
  check(cudaEventRecord(own.handle, handle), "cudaEventRecord");
  own.capture = streams.isInCapture ? streams.captures : 0;
}

/// What was recorded outside of this capture comes before the whole graph, and what was recorded in
/// a graph that has been started before all work by itself: there is nothing to wait for.
void CudaStream::wait(Event &event) {
  enter();
  auto &own = static_cast<CudaEvent &>(event);
  if (own.capture == (streams.isInCapture ? streams.captures : 0))
    check(cudaStreamWaitEvent(handle, own.handle, 0), "cudaStreamWaitEvent");
}

void CudaStream::join() { streams.wait(handle); }

} // namespace deepshard::runtime::cuda
