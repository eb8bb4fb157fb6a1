//===- NcclCommunicator.cpp - one group's collectives by NCCL ---------------------------------===//

#include "runtime/comm/nccl/NcclCommunicator.h"

#include <fmt/format.h>

namespace deepshard::runtime::cuda {

static ncclDataType_t typeOf(DType type) {
  switch (type) {
  case DType::F32:
    return ncclFloat32;
  case DType::F64:
    return ncclFloat64;
  case DType::BF16:
    return ncclBfloat16;
  case DType::F16:
    return ncclFloat16;
  case DType::I64:
    return ncclInt64;
  case DType::I32:
    return ncclInt32;
  default:
    throw Error(fmt::format("collectives do not reduce elements of type {}, only f32, f64, bf16, "
                            "f16, i64 and i32",
                            nameOf(type)),
                ExitCode::Internal);
  }
}

static ncclRedOp_t operationOf(Reduction reduction) {
  switch (reduction) {
  case Reduction::Max:
    return ncclMax;
  case Reduction::Min:
    return ncclMin;
  default:
    return ncclSum;
  }
}

NcclCommunicator::NcclCommunicator(NcclWorld &world, const NcclApi &api, ncclComm_t communicator,
                                   std::unique_ptr<Communicator> host, const Streams &streams)
    : world(world), api(api), communicator(communicator), host(std::move(host)), streams(streams) {}

NcclCommunicator::~NcclCommunicator() { world.leave(communicator); }

template <typename Add> void NcclCommunicator::group(const char *name, const Add &add) {
  ncclResult_t first = ncclSuccess;
  api.check(api.groupStart(), "ncclGroupStart");
  add([&](ncclResult_t result) {
    if (first == ncclSuccess && result != ncclInProgress)
      first = result;
  });
  ncclResult_t end = api.groupEnd();
  api.check(first, name);
  api.finish(communicator, end, name);
}

void NcclCommunicator::allReduce(const void *input, void *output, int64_t elements, DType type,
                                 Reduction reduction) {
  api.finish(communicator,
             api.allReduce(input, output, static_cast<size_t>(elements), typeOf(type),
                           operationOf(reduction), communicator, streams.current()),
             "ncclAllReduce");
}

void NcclCommunicator::reduceScatter(const void *input, void *output, int64_t outer, int64_t inner,
                                     DType type, Reduction reduction) {
  const auto *from = static_cast<const char *>(input);
  auto *to = static_cast<char *>(output);
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type));
  group("ncclReduceScatter", [&](auto check) {
    for (int64_t row = 0; row < outer; ++row)
      check(api.reduceScatter(from + row * size() * bytes, to + row * bytes,
                              static_cast<size_t>(inner), typeOf(type), operationOf(reduction),
                              communicator, streams.current()));
  });
}

void NcclCommunicator::allGather(const void *input, void *output, int64_t outer, int64_t inner,
                                 DType type) {
  const auto *from = static_cast<const char *>(input);
  auto *to = static_cast<char *>(output);
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type));
  group("ncclAllGather", [&](auto check) {
    for (int64_t row = 0; row < outer; ++row)
      check(api.allGather(from + row * bytes, to + row * size() * bytes, static_cast<size_t>(bytes),
                          ncclUint8, communicator, streams.current()));
  });
}

void NcclCommunicator::allToAllForward(const void *input, void *output, int64_t outer,
                                       int64_t middle, int64_t inner, DType type) {
  const auto *from = static_cast<const char *>(input);
  auto *to = static_cast<char *>(output);
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type));
  group("ncclSend and ncclRecv", [&](auto check) {
    for (int64_t o = 0; o < outer; ++o)
      for (int member = 0; member < size(); ++member)
        for (int64_t m = 0; m < middle; ++m) {
          check(api.send(from + ((o * size() + member) * middle + m) * bytes,
                         static_cast<size_t>(bytes), ncclUint8, member, communicator,
                         streams.current()));
          check(api.receive(to + ((o * middle + m) * size() + member) * bytes,
                            static_cast<size_t>(bytes), ncclUint8, member, communicator,
                            streams.current()));
        }
  });
}

void NcclCommunicator::allToAllBackward(const void *input, void *output, int64_t outer,
                                        int64_t middle, int64_t inner, DType type) {
  const auto *from = static_cast<const char *>(input);
  auto *to = static_cast<char *>(output);
  int64_t bytes = inner * static_cast<int64_t>(sizeOf(type));
  group("ncclSend and ncclRecv", [&](auto check) {
    for (int64_t o = 0; o < outer; ++o)
      for (int member = 0; member < size(); ++member)
        for (int64_t m = 0; m < middle; ++m) {
          check(api.send(from + ((o * middle + m) * size() + member) * bytes,
                         static_cast<size_t>(bytes), ncclUint8, member, communicator,
                         streams.current()));
          check(api.receive(to + ((o * size() + member) * middle + m) * bytes,
                            static_cast<size_t>(bytes), ncclUint8, member, communicator,
                            streams.current()));
        }
  });
}

void NcclCommunicator::permute(const void *input, void *output, int64_t elements, DType type,
                               std::span<const int> sources) {
  auto bytes = static_cast<size_t>(elements) * sizeOf(type);
  group("ncclSend and ncclRecv", [&](auto check) {
    for (int member = 0; member < size(); ++member)
      if (sources[static_cast<size_t>(member)] == rank())
        check(api.send(input, bytes, ncclUint8, member, communicator, streams.current()));
    check(api.receive(output, bytes, ncclUint8, sources[static_cast<size_t>(rank())], communicator,
                      streams.current()));
  });
}

} // namespace deepshard::runtime::cuda
