//===- Stream.h - streams, events and captured segments of a GPU ------------------------------===//
//
// A graph runs in the order of the first stream. What was issued to the others one by one comes
// before it and after it by two kinds of events: `tail`, recorded on a stream that has work of its
// own when a graph is started, and the device's `head`, recorded behind the graph, which such a
// stream waits for when it gets work again. Steps that consist of graphs need neither.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_STREAM_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_STREAM_H

#include "runtime/device/Device.h"
#include "runtime/device/cuda/Arena.h"

#include <cuda_runtime_api.h>

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

namespace deepshard::runtime::cuda {

class CudaStream;

class CudaEvent final : public Event {
public:
  CudaEvent();
  ~CudaEvent() override;

  const cudaEvent_t handle;
  uint64_t capture = 0; ///< in which it was recorded last; 0: in none
};

/// All streams of a device and what is going on with them.
class Streams {
public:
  /// `wait` returns when a stream has finished; it throws Error.
  explicit Streams(std::function<void(cudaStream_t)> wait);

  std::unique_ptr<CudaStream> add();
  void remove(CudaStream &stream);
  /// The stream whose work is being issued, and its mark.
  cudaStream_t current() const;
  uint64_t *currentMark() const;
  /// No stream has work.
  void clearMarks();
  bool isCapturing() const { return isInCapture; }
  std::unique_ptr<Graph> capture(const std::function<void()> &issue);
  /// Keeps an Error until it can be thrown.
  void keep(std::exception_ptr error) { kept = std::move(error); }
  void throwIfFailed();

private:
  friend class CudaStream;
  friend class CudaGraph;

  void fork();
  void join();
  void launch(cudaGraphExec_t graph);

  std::function<void(cudaStream_t)> wait;
  std::vector<CudaStream *> all;
  // One a stream. Not the stream's own: to give them back waits for the device, which may hang as
  // long as communicators are there, and these go after streams.
  std::deque<PinnedArena> marks;
  CudaEvent head;
  CudaStream *now = nullptr;
  std::exception_ptr kept;
  uint64_t captures = 0;
  bool isInCapture = false;
};

class CudaStream final : public Stream {
public:
  CudaStream(Streams &streams, uint64_t *mark);
  ~CudaStream() override;

  void issue(Work work, void *context, uint64_t argument) override;
  void record(Event &event) override;
  void wait(Event &event) override;
  void join() override;

  /// A number in memory of the host that the GPU writes.
  uint64_t *mark() const { return place; }

private:
  friend class Streams;

  void enter();

  Streams &streams;
  cudaStream_t handle = nullptr;
  uint64_t *place;
  CudaEvent tail;
  bool hasWork = false;  // issued one by one since the last graph
  bool isBehind = false; // it has not waited for the last graph
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_STREAM_H
