//===- Api.h - the functions of NCCL ----------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_NCCL_API_H
#define DEEPSHARD_RUNTIME_COMM_NCCL_API_H

#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Library.h"
#include "runtime/plan/Error.h"

#include <nccl.h>

#include <chrono>
#include <functional>

namespace deepshard::runtime::cuda {

struct NcclApi {
  /// Throws Error if NCCL is missing or older than 2.28.
  explicit NcclApi(const CudaOptions &options);

  /// Throws Error unless `result` is success. For calls that end at once.
  void check(ncclResult_t result, const char *call) const;
  /// The same for a call on `communicator`, once it no longer goes on. Throws Error too if the job
  /// was ended, or if the call does not end in time.
  void finish(ncclComm_t communicator, ncclResult_t result, const char *call) const;

  Library library;
  std::function<void()> throwIfAborted;
  std::chrono::milliseconds timeout;
  decltype(ncclGetVersion) *getVersion;
  decltype(ncclGetErrorString) *errorText;
  decltype(ncclGetUniqueId) *getUniqueId;
  decltype(ncclCommInitRankConfig) *initRank;
  decltype(ncclCommSplit) *split;
  decltype(ncclCommGetAsyncError) *asyncError;
  decltype(ncclCommFinalize) *finalize;
  decltype(ncclCommDestroy) *destroy;
  decltype(ncclCommAbort) *abort;
  decltype(ncclMemAlloc) *allocate;
  decltype(ncclMemFree) *free;
  decltype(ncclCommWindowRegister) *registerWindow;
  decltype(ncclGroupStart) *groupStart;
  decltype(ncclGroupEnd) *groupEnd;
  decltype(ncclAllReduce) *allReduce;
  decltype(ncclReduceScatter) *reduceScatter;
  decltype(ncclAllGather) *allGather;
  decltype(ncclSend) *send;
  decltype(ncclRecv) *receive;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_COMM_NCCL_API_H
