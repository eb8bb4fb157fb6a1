//===- FakeNccl.cpp - NCCL for ranks that are threads on the fake runtime ---------------------===//
//
// Calls of one communicator are matched in the order in which streams come to them; sums, of f32
// and f64, have the order of Communicator.h. A send leaves its data and goes on; a receive waits
// for them.
//
// As NCCL's, a split gives its communicator when it ends, by an abort or when all members have come
// and one asks, from whichever thread that is. Splits and registrations return success while they
// go on; a communicator must not be used then.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/cuda/FakeCuda.h"

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

using deepshard::runtime::test::FakeCuda;
using deepshard::runtime::test::FakeEntry;
using deepshard::runtime::test::kFakeEntry;

namespace {

FakeCuda &fake() {
  static FakeCuda *found = [] {
    void *library = ::dlopen(std::getenv("DEEPSHARD_CUDA_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
    return reinterpret_cast<FakeEntry *>(::dlsym(library, kFakeEntry))();
  }();
  return *found;
}

/// What the members of a communicator share.
struct Shared {
  struct Meeting {
    std::vector<const char *> inputs;
    std::vector<char *> outputs;
    int arrived = 0;
    int left = 0;
  };
  struct Splitting {
    struct Member {
      ncclComm *parent;
      ncclComm_t *place; // of the communicator; null: it was aborted
      int color, key;
    };
    std::vector<Member> members;
    bool hasEnded = false;
  };

  int size = 0;
  int joined = 0;
  std::map<uint64_t, Meeting> meetings;
  std::map<std::pair<int, int>, std::deque<std::vector<char>>> mail; // from, to
  std::map<int, Splitting> splittings;
};

std::mutex mutex; // of everything that is not the work of streams
std::map<std::string, std::shared_ptr<Shared>> worlds;
std::atomic<int> identifiers = 0;

template <typename T> T tree(const std::vector<T> &values, size_t begin, size_t count) {
  if (count == 1)
    return values[begin];
  size_t first = (count + 1) / 2;
  return tree(values, begin, first) + tree(values, begin + first, count - first);
}

/// Of those that tests send.
size_t sizeOf(ncclDataType_t type) { return type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : 1; }

} // namespace

struct ncclComm {
  std::shared_ptr<Shared> shared;
  int rank = 0;
  uint64_t next = 0; // of the meetings
  int splits = 0;
  ncclWindow_t *registering = nullptr; // where its window is to be written
  void *registered = nullptr;
  std::atomic<bool> isAborted = false;
};

/// All that were made: others may look at one that is destroyed.
static std::vector<std::unique_ptr<ncclComm>> communicators;

static ncclComm_t keep(std::shared_ptr<Shared> shared, int rank) {
  fake().addAlive(1);
  auto made = std::make_unique<ncclComm>();
  made->shared = std::move(shared);
  made->rank = rank;
  return communicators.emplace_back(std::move(made)).get();
}

/// Whether a call on it goes on: nothing else may be called then.
static bool isBusy(const ncclComm &comm) {
  const Shared &shared = *comm.shared;
  return comm.registering || (shared.joined != 0 && shared.joined < shared.size) ||
         (comm.splits > 0 && !shared.splittings.at(comm.splits - 1).hasEnded);
}

/// Counts the call; what it returns at once, if anything but success.
static ncclResult_t begin(const char *name, const ncclComm &comm) {
  if (fake().fails(name))
    return ncclSystemError;
  std::lock_guard lock(mutex);
  return isBusy(comm) ? ncclInvalidArgument : ncclSuccess;
}

/// Issues work in which all members meet; the last to come calls `move` for each of them.
template <typename Move>
static ncclResult_t meet(const char *name, ncclComm_t comm, const void *input, void *output,
                         cudaStream_t stream, Move move) {
  if (ncclResult_t result = begin(name, *comm); result != ncclSuccess)
    return result;
  auto at = std::make_shared<int64_t>(-1);
  fake().issue(stream, name, [comm, at, input, output, move] {
    if (comm->isAborted)
      return true;
    Shared &shared = *comm->shared;
    if (*at < 0) {
      *at = static_cast<int64_t>(comm->next++);
      Shared::Meeting &meeting = shared.meetings[static_cast<uint64_t>(*at)];
      meeting.inputs.resize(static_cast<size_t>(shared.size));
      meeting.outputs.resize(static_cast<size_t>(shared.size));
      meeting.inputs[static_cast<size_t>(comm->rank)] = static_cast<const char *>(input);
      meeting.outputs[static_cast<size_t>(comm->rank)] = static_cast<char *>(output);
      if (++meeting.arrived == shared.size)
        move(meeting);
    }
    Shared::Meeting &meeting = shared.meetings[static_cast<uint64_t>(*at)];
    if (meeting.arrived < shared.size)
      return false;
    if (++meeting.left == shared.size)
      shared.meetings.erase(static_cast<uint64_t>(*at));
    *at = -1; // a graph may come here again
    return true;
  });
  return ncclInProgress;
}

template <typename T>
static std::vector<char> sumAs(const Shared::Meeting &meeting, size_t offset, size_t count) {
  std::vector<char> sums(count * sizeof(T));
  std::vector<T> values(meeting.inputs.size());
  for (size_t i = 0; i < count; ++i) {
    for (size_t member = 0; member < values.size(); ++member)
      values[member] = reinterpret_cast<const T *>(meeting.inputs[member])[offset + i];
    reinterpret_cast<T *>(sums.data())[i] = tree(values, 0, values.size());
  }
  return sums;
}

/// The bytes of the sums of `count` elements from `offset` on.
static std::vector<char> sum(const Shared::Meeting &meeting, ncclDataType_t type, size_t offset,
                             size_t count) {
  return type == ncclFloat64 ? sumAs<double>(meeting, offset, count)
                             : sumAs<float>(meeting, offset, count);
}

/// Whether the fake can reduce so.
static bool isSum(ncclDataType_t type, ncclRedOp_t operation) {
  return operation == ncclSum && (type == ncclFloat64 || type == ncclFloat32);
}

extern "C" {

ncclResult_t ncclGetVersion(int *version) {
  if (fake().fails("ncclGetVersion"))
    return ncclSystemError;
  const char *given = std::getenv("DEEPSHARD_FAKE_NCCL");
  *version = given ? std::atoi(given) : 22809;
  return ncclSuccess;
}
const char *ncclGetErrorString(ncclResult_t) { return "made to fail"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  if (fake().fails("ncclGetUniqueId"))
    return ncclSystemError;
  *id = {};
  std::snprintf(id->internal, sizeof(id->internal), "world %d", identifiers++);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config) {
  if (fake().fails("ncclCommInitRankConfig") || config->blocking != 0)
    return ncclSystemError;
  std::lock_guard lock(mutex);
  std::shared_ptr<Shared> &world = worlds[id.internal];
  if (!world)
    world = std::make_shared<Shared>();
  world->size = ranks;
  ++world->joined;
  *comm = keep(world, rank);
  return ncclInProgress;
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t *child, ncclConfig_t *) {
  *child = nullptr;
  if (fake().fails("ncclCommSplit"))
    return ncclSystemError;
  std::lock_guard lock(mutex);
  if (isBusy(*comm))
    return ncclInvalidArgument;
  comm->shared->splittings[comm->splits++].members.push_back({comm, child, color, key});
  return ncclSuccess;
}
/// If all members have come.
static void end(Shared::Splitting &splitting, int size) {
  splitting.hasEnded =
      static_cast<int>(splitting.members.size()) == size &&
      std::all_of(splitting.members.begin(), splitting.members.end(),
                  [](const Shared::Splitting::Member &member) { return member.place; });
  if (!splitting.hasEnded)
    return;
  std::map<int, std::shared_ptr<Shared>> groups;
  for (const Shared::Splitting::Member &member : splitting.members) {
    std::shared_ptr<Shared> &group = groups[member.color];
    if (!group)
      group = std::make_shared<Shared>();
    ++group->size;
    *member.place = keep(group, member.key);
  }
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result) {
  if (fake().fails("ncclCommGetAsyncError"))
    return ncclSystemError;
  std::lock_guard lock(mutex);
  *result = isBusy(*comm) ? ncclInProgress : ncclSuccess;
  // What it is asked about next has gone on meanwhile.
  if (ncclWindow_t *window = std::exchange(comm->registering, nullptr))
    *window = static_cast<ncclWindow_t>(comm->registered);
  if (comm->splits > 0)
    if (Shared::Splitting &last = comm->shared->splittings[comm->splits - 1]; !last.hasEnded)
      end(last, comm->shared->size);
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t comm) { return begin("ncclCommFinalize", *comm); }
ncclResult_t ncclCommDestroy(ncclComm_t) {
  fake().addAlive(-1);
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  std::lock_guard lock(mutex);
  for (auto &[number, splitting] : comm->shared->splittings)
    if (!splitting.hasEnded)
      for (Shared::Splitting::Member &member : splitting.members)
        if (member.parent == comm && member.place)
          *std::exchange(member.place, nullptr) = keep(std::make_shared<Shared>(), member.key);
  comm->isAborted = true;
  fake().addAlive(-1);
  return ncclSuccess;
}
ncclResult_t ncclMemAlloc(void **memory, size_t bytes) {
  if (fake().fails("ncclMemAlloc"))
    return ncclSystemError;
  *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  fake().addAlive(1);
  return ncclSuccess;
}
ncclResult_t ncclMemFree(void *memory) {
  fake().addAlive(-1);
  fake().retire(memory);
  return ncclSuccess;
}
ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void *memory, size_t, ncclWindow_t *window,
                                    int) {
  if (fake().fails("ncclCommWindowRegister"))
    return ncclSystemError;
  std::lock_guard lock(mutex);
  if (isBusy(*comm))
    return ncclInvalidArgument;
  comm->registering = window;
  comm->registered = memory;
  return ncclSuccess;
}
ncclResult_t ncclGroupStart() {
  return fake().fails("ncclGroupStart") ? ncclSystemError : ncclSuccess;
}
ncclResult_t ncclGroupEnd() { return fake().fails("ncclGroupEnd") ? ncclSystemError : ncclSuccess; }

ncclResult_t ncclAllReduce(const void *input, void *output, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  if (!isSum(type, operation))
    return ncclInvalidArgument;
  return meet("ncclAllReduce", comm, input, output, stream,
              [count, type](Shared::Meeting &meeting) {
                std::vector<char> sums = sum(meeting, type, 0, count);
                for (char *to : meeting.outputs)
                  std::memcpy(to, sums.data(), sums.size());
              });
}
ncclResult_t ncclReduceScatter(const void *input, void *output, size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  if (!isSum(type, operation))
    return ncclInvalidArgument;
  return meet("ncclReduceScatter", comm, input, output, stream,
              [count, type](Shared::Meeting &meeting) {
                const size_t members = meeting.outputs.size();
                std::vector<char> sums = sum(meeting, type, 0, count * members);
                for (size_t i = 0; i < members; ++i)
                  std::memcpy(meeting.outputs[i], sums.data() + i * count * sizeOf(type),
                              count * sizeOf(type));
              });
}
ncclResult_t ncclAllGather(const void *input, void *output, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = count * sizeOf(type);
  return meet("ncclAllGather", comm, input, output, stream, [bytes](Shared::Meeting &meeting) {
    for (char *to : meeting.outputs)
      for (size_t i = 0; i < meeting.inputs.size(); ++i)
        if (to + i * bytes != meeting.inputs[i])
          std::memcpy(to + i * bytes, meeting.inputs[i], bytes);
  });
}
ncclResult_t ncclSend(const void *input, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  if (ncclResult_t result = begin("ncclSend", *comm); result != ncclSuccess)
    return result;
  size_t bytes = count * sizeOf(type);
  fake().issue(stream, "ncclSend", [=] {
    const auto *from = static_cast<const char *>(input);
    comm->shared->mail[{comm->rank, peer}].emplace_back(from, from + bytes);
    return true;
  });
  return ncclInProgress;
}
ncclResult_t ncclRecv(void *output, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (ncclResult_t result = begin("ncclRecv", *comm); result != ncclSuccess)
    return result;
  size_t bytes = count * sizeOf(type);
  fake().issue(stream, "ncclRecv", [=] {
    if (comm->isAborted)
      return true;
    auto &mail = comm->shared->mail[{peer, comm->rank}];
    if (mail.empty() || mail.front().size() != bytes)
      return false;
    std::memcpy(output, mail.front().data(), bytes);
    mail.pop_front();
    return true;
  });
  return ncclInProgress;
}

} // extern "C"
