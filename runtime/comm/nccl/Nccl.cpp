//===- Nccl.cpp - the NCCL side of a rank -----------------------------------------------------===//

#include "runtime/comm/nccl/Nccl.h"

#include "runtime/comm/nccl/Api.h"
#include "runtime/comm/nccl/NcclCommunicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

namespace deepshard::runtime::cuda {

namespace {

class NcclArena final : public Arena {
public:
  NcclArena(const NcclApi &api, uint64_t bytes) : Arena(bytes), api(api) {
    void *memory = nullptr;
    if (ncclResult_t result = api.allocate(&memory, bytes); result != ncclSuccess)
      throw Error(fmt::format("this GPU does not give {} bytes of memory for collectives, which "
                              "the plan needs: ncclMemAlloc: {}",
                              bytes, api.errorText(result)));
    base = static_cast<char *>(memory);
  }
  ~NcclArena() override { (void)api.free(base); }

private:
  const NcclApi &api;
};

ncclConfig_t configuration() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

} // namespace

/// What NCCL writes handles to, from a thread of its own when a call has ended, be it by a failure
/// or by abort: it stays where it is until then.
struct NcclWorld::Membership {
  ncclComm_t communicator = nullptr;
  ncclWindow_t window = nullptr;
};

NcclWorld::NcclWorld(const CudaOptions &options, const Streams &streams)
    : api(std::make_unique<NcclApi>(options)), streams(streams), rank(options.rank) {
  try {
    join(options);
  } catch (...) {
    abort();
    throw;
  }
}

/// The first rank makes an identifier, the others learn it through host memory.
void NcclWorld::join(const CudaOptions &options) {
  ncclUniqueId id = {};
  if (rank == 0)
    api->check(api->getUniqueId(&id), "ncclGetUniqueId");
  static_assert(sizeof(id) <= kExchangeBytes);
  std::memcpy(options.exchange, &id, sizeof(id));
  std::vector<ncclUniqueId> all(static_cast<size_t>(options.ranks));
  options.everyone->allGather(options.exchange, all.data(), 1, sizeof(id), DType::I8);
  ncclConfig_t config = configuration();
  ncclComm_t &communicator = memberships.emplace_back().communicator;
  ncclResult_t result = api->initRank(&communicator, options.ranks, all.front(), rank, &config);
  api->finish(communicator, result, "ncclCommInitRankConfig");
}

NcclWorld::~NcclWorld() {
  while (!memberships.empty())
    leave(memberships.back().communicator);
}

/// A rank that fails does not wait for the others.
void NcclWorld::leave(ncclComm_t communicator) noexcept {
  auto left = std::find_if(memberships.begin(), memberships.end(),
                           [&](const Membership &one) { return one.communicator == communicator; });
  if (left == memberships.end())
    return;
  if (std::uncaught_exceptions() > 0)
    abort();
  if (!isAborted)
    try {
      api->finish(communicator, api->finalize(communicator), "ncclCommFinalize");
      (void)api->destroy(communicator);
    } catch (const Error &) {
      abort();
    }
  memberships.erase(left);
}

std::unique_ptr<Arena> NcclWorld::window(uint64_t bytes) {
  auto arena = std::make_unique<NcclArena>(*api, bytes);
  windowBase = arena->data();
  windowBytes = bytes;
  return arena;
}

std::unique_ptr<Communicator> NcclWorld::communicator(std::unique_ptr<Communicator> host,
                                                      std::span<const int> members) {
  Membership &membership = memberships.emplace_back();
  try {
    // Groups of one kind are told apart by their first rank.
    split(membership, members.front(), host->rank());
  } catch (...) {
    abort();
    throw;
  }
  return std::make_unique<NcclCommunicator>(*this, *api, membership.communicator, std::move(host),
                                            streams);
}

void NcclWorld::split(Membership &membership, int group, int rankInGroup) {
  ncclConfig_t config = configuration();
  ncclComm_t world = memberships.front().communicator;
  ncclComm_t &made = membership.communicator;
  api->finish(world, api->split(world, group, rankInGroup, &made, &config), "ncclCommSplit");
  if (windowBase)
    api->finish(made,
                api->registerWindow(made, windowBase, windowBytes, &membership.window,
                                    NCCL_WIN_COLL_SYMMETRIC),
                "ncclCommWindowRegister");
}

void NcclWorld::throwIfFailed() const {
  for (const Membership &membership : memberships) {
    ncclResult_t result = ncclSuccess;
    api->check(api->asyncError(membership.communicator, &result), "ncclCommGetAsyncError");
    if (result != ncclInProgress)
      api->check(result, "a collective");
  }
}

/// That of all ranks first: a split that is under way ends with it, and has a communicator then. As
/// a group: each is told to end before any is waited for, which may be behind another on a stream.
void NcclWorld::abort() noexcept {
  if (isAborted)
    return;
  isAborted = true;
  (void)api->groupStart();
  for (const Membership &membership : memberships)
    if (membership.communicator)
      (void)api->abort(membership.communicator);
  (void)api->groupEnd();
}

} // namespace deepshard::runtime::cuda
