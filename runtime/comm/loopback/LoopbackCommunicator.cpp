//===- LoopbackCommunicator.cpp - collectives of ranks that share a GPU -----------------------===//

#include "runtime/comm/loopback/LoopbackCommunicator.h"

#include "runtime/device/cuda/Check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

namespace deepshard::runtime::cuda {

/// All offers of the process.
struct LoopbackCommunicator::Offer::Open {
  std::mutex mutex;
  std::map<int64_t, std::shared_ptr<Member>> members;
  int64_t next = 0;
};

LoopbackCommunicator::Offer::Open &LoopbackCommunicator::Offer::open() {
  static Open open;
  return open;
}

LoopbackCommunicator::Offer::Offer(std::shared_ptr<Member> member) {
  std::lock_guard lock(open().mutex);
  own = open().next++;
  open().members[own] = std::move(member);
}

LoopbackCommunicator::Offer::~Offer() {
  std::lock_guard lock(open().mutex);
  open().members.erase(own);
}

std::shared_ptr<LoopbackCommunicator::Member> LoopbackCommunicator::Offer::take(int64_t number) {
  std::lock_guard lock(open().mutex);
  auto it = open().members.find(number);
  return it == open().members.end() ? nullptr : it->second;
}

LoopbackCommunicator::LoopbackCommunicator(std::unique_ptr<Communicator> given, char *exchange,
                                           BuiltIn &builtIn, const Streams &streams)
    : host(std::move(given)), self(host->rank()), members(static_cast<size_t>(host->size())),
      builtIn(builtIn), streams(streams) {
  if (size() > kMostMembers)
    throw Error(
        fmt::format("a group of {} ranks cannot share a GPU, {} can", size(), kMostMembers));
  Offer mine(std::make_shared<Member>());
  int64_t number = mine.number();
  std::memcpy(exchange, &number, sizeof(number));
  std::vector<int64_t> numbers(members.size());
  host->allGather(exchange, numbers.data(), 1, 1, DType::I64);
  for (size_t i = 0; i < members.size(); ++i)
    members[i] = Offer::take(numbers[i]);
  // Until everyone has taken our member. Whoever has left by an error does not come: it throws.
  host->barrier();
}

void LoopbackCommunicator::waitForOthers(CudaEvent Member::*event) {
  for (const std::shared_ptr<Member> &member : members)
    if (member.get() != &own())
      check(cudaStreamWaitEvent(streams.current(), ((*member).*event).handle, 0),
            "cudaStreamWaitEvent");
}

template <typename Work>
void LoopbackCommunicator::meet(const void *input, void *output, const Work &work) {
  own().input = static_cast<const char *>(input);
  own().output = static_cast<char *>(output);
  check(cudaEventRecord(own().ready.handle, streams.current()), "cudaEventRecord");
  host->barrier();
  waitForOthers(&Member::ready);
  work();
  check(cudaEventRecord(own().done.handle, streams.current()), "cudaEventRecord");
  host->barrier();
  waitForOthers(&Member::done);
}

void LoopbackCommunicator::copy(const char *from, char *to, const int64_t (&shape)[3],
                                const int64_t (&fromStrides)[3], const int64_t (&toStrides)[3]) {
  if (from != to)
    builtIn.copy({from, to, shape, fromStrides, toStrides, 1}, streams.current());
}

/// Each reduces a slice of all inputs into all outputs.
void LoopbackCommunicator::allReduce(const void *input, void *output, int64_t elements, DType type,
                                     Reduction reduction) {
  meet(input, output, [&] {
    constexpr int64_t kGrain = 64; // elements; slices begin where cache lines do
    int64_t grains = (elements + kGrain - 1) / kGrain;
    int64_t begin = std::min(elements, grains * self / size() * kGrain);
    int64_t end = std::min(elements, grains * (self + 1) / size() * kGrain);
    auto offset = begin * static_cast<int64_t>(sizeOf(type));
    ReducedRows rows = {};
    rows.inputCount = rows.outputCount = size();
    for (int i = 0; i < size(); ++i) {
      rows.inputs[i] = members[static_cast<size_t>(i)]->input + offset;
      rows.outputs[i] = members[static_cast<size_t>(i)]->output + offset;
    }
    rows.elements = end - begin;
    builtIn.reduce(rows, 1, type, reduction, streams.current());
  });
}

void LoopbackCommunicator::reduceScatter(const void *input, void *output, int64_t outer,
                                         int64_t inner, DType type, Reduction reduction) {
  meet(input, output, [&] {
    constexpr int64_t kMostRows = 65535; // of a grid
    auto width = static_cast<int64_t>(sizeOf(type));
    for (int64_t first = 0; first < outer; first += kMostRows) {
      ReducedRows rows = {};
      rows.inputCount = size();
      rows.outputCount = 1;
      for (int i = 0; i < size(); ++i)
        rows.inputs[i] =
            members[static_cast<size_t>(i)]->input + (first * size() + self) * inner * width;
      rows.outputs[0] = static_cast<char *>(output) + first * inner * width;
      rows.elements = inner;
      rows.inputStride = size() * inner;
      rows.outputStride = inner;
      builtIn.reduce(rows, std::min(kMostRows, outer - first), type, reduction, streams.current());
    }
  });
}

void LoopbackCommunicator::allGather(const void *input, void *output, int64_t outer, int64_t inner,
                                     DType type) {
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type));
  meet(input, output, [&] {
    for (int i = 0; i < size(); ++i)
      copy(members[static_cast<size_t>(i)]->input, static_cast<char *>(output) + i * bytes,
           {outer, 1, bytes}, {bytes, bytes, 1}, {size() * bytes, bytes, 1});
  });
}

void LoopbackCommunicator::allToAllForward(const void *input, void *output, int64_t outer,
                                           int64_t middle, int64_t inner, DType type) {
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type)), all = size() * middle * bytes;
  meet(input, output, [&] {
    for (int i = 0; i < size(); ++i)
      copy(members[static_cast<size_t>(i)]->input + self * middle * bytes,
           static_cast<char *>(output) + i * bytes, {outer, middle, bytes}, {all, bytes, 1},
           {all, size() * bytes, 1});
  });
}

void LoopbackCommunicator::allToAllBackward(const void *input, void *output, int64_t outer,
                                            int64_t middle, int64_t inner, DType type) {
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type)), all = size() * middle * bytes;
  meet(input, output, [&] {
    for (int i = 0; i < size(); ++i)
      copy(members[static_cast<size_t>(i)]->input + self * bytes,
           static_cast<char *>(output) + i * middle * bytes, {outer, middle, bytes},
           {all, size() * bytes, 1}, {all, bytes, 1});
  });
}

void LoopbackCommunicator::permute(const void *input, void *output, int64_t elements, DType type,
                                   std::span<const int> sources) {
  int64_t bytes = elements * static_cast<int64_t>(sizeOf(type));
  meet(input, output, [&] {
    auto source = static_cast<size_t>(sources[static_cast<size_t>(self)]);
    copy(members[source]->input, static_cast<char *>(output), {1, 1, bytes}, {bytes, bytes, 1},
         {bytes, bytes, 1});
  });
}

} // namespace deepshard::runtime::cuda
