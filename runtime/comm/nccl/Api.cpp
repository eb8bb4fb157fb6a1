//===- Api.cpp - the functions of NCCL --------------------------------------------------------===//

#include "runtime/comm/nccl/Api.h"

#include <fmt/format.h>

#include <thread>

namespace deepshard::runtime::cuda {

NcclApi::NcclApi(const CudaOptions &options)
    : library("NCCL", {"libnccl.so.2"}, options.libraries), throwIfAborted(options.throwIfAborted),
      timeout(options.timeout) {
  library.find("ncclGetVersion", getVersion);
  library.find("ncclGetErrorString", errorText);
  constexpr int kOldest = NCCL_VERSION(2, 28, 0);
  int version = 0;
  check(getVersion(&version), "ncclGetVersion");
  if (version < kOldest)
    throw Error(fmt::format("NCCL 2.28 or newer is needed, {} is {}.{}.{}", library.path(),
                            version / 10000, version / 100 % 100, version % 100));
  library.find("ncclGetUniqueId", getUniqueId);
  library.find("ncclCommInitRankConfig", initRank);
  library.find("ncclCommSplit", split);
  library.find("ncclCommGetAsyncError", asyncError);
  library.find("ncclCommFinalize", finalize);
  library.find("ncclCommDestroy", destroy);
  library.find("ncclCommAbort", abort);
  library.find("ncclMemAlloc", allocate);
  library.find("ncclMemFree", free);
  library.find("ncclCommWindowRegister", registerWindow);
  library.find("ncclGroupStart", groupStart);
  library.find("ncclGroupEnd", groupEnd);
  library.find("ncclAllReduce", allReduce);
  library.find("ncclReduceScatter", reduceScatter);
  library.find("ncclAllGather", allGather);
  library.find("ncclSend", send);
  library.find("ncclRecv", receive);
}

void NcclApi::check(ncclResult_t result, const char *call) const {
  if (result != ncclSuccess)
    throw Error(fmt::format("{}: {}", call, errorText(result)), ExitCode::RankFailed);
}

void NcclApi::finish(ncclComm_t communicator, ncclResult_t result, const char *call) const {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  auto looked = start;
  // Some calls (ncclCommSplit, ncclCommWindowRegister) return ncclSuccess while they go on.
  while (result == ncclSuccess || result == ncclInProgress) {
    check(asyncError(communicator, &result), "ncclCommGetAsyncError");
    if (result == ncclSuccess)
      return;
    std::this_thread::yield();
    const auto now = Clock::now();
    if (now - looked < std::chrono::milliseconds(10))
      continue;
    looked = now;
    if (throwIfAborted)
      throwIfAborted();
    if (now - start >= timeout)
      throw Error(fmt::format("{} did not end within {:g} s: another rank may have failed", call,
                              std::chrono::duration<double>(timeout).count()),
                  ExitCode::RankFailed);
  }
  check(result, call);
}

} // namespace deepshard::runtime::cuda
