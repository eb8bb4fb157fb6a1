//===- Nccl.cpp - the NCCL side of a rank -----------------------------------------------------===//

#include "runtime/comm/nccl/Nccl.h"

#include "runtime/comm/nccl/Api.h"
#include "runtime/comm/nccl/NcclCommunicator.h"
#include "runtime/device/cuda/Arena.h"

#include <fmt/format.h>

#include <cstring>
#include <exception>

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
    try {
      clear(base, bytes);
    } catch (...) {
      (void)api.free(base);
      throw;
    }
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

NcclWorld::NcclWorld(const CudaOptions &options, const Streams &streams)
    : api(std::make_unique<NcclApi>(options)), streams(streams), rank(options.rank) {
  communicators.push_back(join(options));
}

/// The first rank makes an identifier, the others learn it through host memory.
ncclComm_t NcclWorld::join(const CudaOptions &options) {
  ncclUniqueId id = {};
  if (rank == 0)
    api->check(api->getUniqueId(&id), "ncclGetUniqueId");
  static_assert(sizeof(id) <= kExchangeBytes);
  std::memcpy(options.exchange, &id, sizeof(id));
  std::vector<ncclUniqueId> all(static_cast<size_t>(options.ranks));
  options.everyone->allGather(options.exchange, all.data(), 1, sizeof(id), DType::I8);
  ncclConfig_t config = configuration();
  ncclComm_t communicator = nullptr;
  ncclResult_t result = api->initRank(&communicator, options.ranks, all.front(), rank, &config);
  api->finish(communicator, result, "ncclCommInitRankConfig");
  return communicator;
}

NcclWorld::~NcclWorld() {
  while (!communicators.empty())
    leave(communicators.back());
}

/// A rank that fails does not wait for the others.
void NcclWorld::leave(ncclComm_t communicator) noexcept {
  std::erase(communicators, communicator);
  if (isAborted)
    return;
  try {
    if (std::uncaught_exceptions() > 0)
      throw Error("the rank failed", ExitCode::RankFailed);
    api->finish(communicator, api->finalize(communicator), "ncclCommFinalize");
    (void)api->destroy(communicator);
  } catch (const Error &) {
    (void)api->abort(communicator);
  }
}

std::unique_ptr<Arena> NcclWorld::window(uint64_t bytes) {
  auto arena = std::make_unique<NcclArena>(*api, bytes);
  windowBase = arena->data();
  windowBytes = bytes;
  return arena;
}

std::unique_ptr<Communicator> NcclWorld::communicator(std::unique_ptr<Communicator> host,
                                                      std::span<const int> members) {
  ncclConfig_t config = configuration();
  ncclComm_t split = nullptr;
  ncclComm_t world = communicators.front();
  // Groups of one kind are told apart by their first rank.
  api->finish(world, api->split(world, members.front(), host->rank(), &split, &config),
              "ncclCommSplit");
  communicators.push_back(split);
  if (windowBase) {
    ncclWindow_t window = nullptr;
    api->finish(
        split,
        api->registerWindow(split, windowBase, windowBytes, &window, NCCL_WIN_COLL_SYMMETRIC),
        "ncclCommWindowRegister");
  }
  return std::make_unique<NcclCommunicator>(*this, *api, split, std::move(host), streams);
}

void NcclWorld::throwIfFailed() const {
  for (ncclComm_t communicator : communicators) {
    ncclResult_t result = ncclSuccess;
    api->check(api->asyncError(communicator, &result), "ncclCommGetAsyncError");
    if (result != ncclInProgress)
      api->check(result, "a collective");
  }
}

void NcclWorld::abort() noexcept {
  if (isAborted)
    return;
  isAborted = true;
  for (ncclComm_t communicator : communicators)
    (void)api->abort(communicator);
}

} // namespace deepshard::runtime::cuda
