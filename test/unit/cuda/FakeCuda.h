//===- FakeCuda.h - a CUDA runtime without a GPU ----------------------------------------------===//
//
// libds_cuda_fake.so is libds_cuda.so with FakeRuntime.cpp in place of NVIDIA's runtime. Memory is
// the host's, kernels are functions of the host, or PTX of a plan, which is interpreted. What is
// issued to streams waits in queues and runs only when somebody asks whether a stream has finished,
// in any order that streams and events allow: a missing wait shows as a wrong result of some seed.
// Captures are checked as CUDA does.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_FAKECUDA_H
#define DEEPSHARD_TEST_UNIT_CUDA_FAKECUDA_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace deepshard::runtime::test {

struct FakeSettings {
  int devices = 1;
  int driver = 13000;
  int capability = 90;
  uint64_t failAt = 0;      ///< the number of the call that fails, from 1; 0: none
  std::string failing = {}; ///< count the calls of this function only; empty: all
  uint32_t seed = 1;        ///< of the order in which streams run
  std::string faulty = {};  ///< the kernel that ends the context when it runs
  std::string hanging = {}; ///< the kernel that never ends
};

/// As many multiprocessors as an H100 has.
inline constexpr int kFakeProcessors = 132;

/// What a test tells the fake and learns from it.
class FakeCuda {
public:
  virtual ~FakeCuda() = default;
  /// Starts anew; nothing may be alive.
  virtual void reset(const FakeSettings &settings) = 0;
  /// What `function` computes when a kernel of this name is launched with so many operands.
  virtual void addKernel(const std::string &name, size_t operands,
                         std::function<void(const std::vector<void *> &)> function) = 0;
  /// What was issued, in order: "launch NAME @0", "copy 24 @0", "record 2 @1", "wait 2 @0",
  /// "begin", "end", "graph @0"; streams and events by the order in which they were made.
  virtual std::vector<std::string> takeLog() = 0;
  /// How many calls there were that can fail, in all and by name, and the name of the one that did.
  virtual uint64_t calls() const = 0;
  virtual std::map<std::string, uint64_t> callsByName() const = 0;
  virtual std::string failed() const = 0;
  /// Allocations, streams, events, graphs, libraries and communicators that are alive.
  virtual int64_t alive() const = 0;
  /// Another library made or gave back so many.
  virtual void addAlive(int64_t count) = 0;
  /// Takes memory that was given back, until `reset`: a collective whose last member comes when
  /// another one has failed still reads and writes all members' memory.
  virtual void retire(void *memory) = 0;
  /// Issues work of another library to a stream. It is called until it returns true.
  virtual void issue(cudaStream_t stream, const std::string &name, std::function<bool()> work) = 0;
  /// Counts a call of another library. True if it is the one to fail.
  virtual bool fails(const char *name) = 0;
};

/// The name of the function that gives it, exported by the library.
inline constexpr const char *kFakeEntry = "deepshardFakeCuda";
using FakeEntry = FakeCuda *();

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_CUDA_FAKECUDA_H
