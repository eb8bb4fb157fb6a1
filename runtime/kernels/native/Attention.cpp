//===- Attention.cpp - attention as calls of the blocked loops --------------------------------===//

#include "runtime/kernels/Attention.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/native/Native.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {

/// One task per batch row and key/value head.
class AttentionKernel : public Kernel {
public:
  AttentionKernel(const Attention &attention, const Loops &loops, int threads)
      : call(attention.call), operands(attention.optional), isGrad(attention.isGrad),
        task(isGrad ? loopsFor(attention.dtype, loops).backward
                    : loopsFor(attention.dtype, loops).forward),
        scratch(isGrad ? loops.backwardScratch(call) : loops.forwardScratch(call)),
        threads(threads) {}

  size_t workspaceBytes() const { return scratch * threads; }

  void run(const KernelArguments &arguments) noexcept override {
    const AttentionData data = isGrad ? gradData(arguments) : forwardData(arguments);
    parallelTasks(threads, call.b * call.g, [&](int64_t index, int thread) {
      task(call, data, index / call.g, index % call.g,
           reinterpret_cast<float *>(static_cast<char *>(arguments.workspace) + scratch * thread));
    });
  }

private:
  void addOptional(AttentionData &data, const KernelArguments &arguments) const {
    data.mask = operands.mask < 0 ? nullptr : arguments.inputs[operands.mask];
    data.counter = operands.counter < 0
                       ? nullptr
                       : static_cast<const int64_t *>(arguments.inputs[operands.counter]);
    data.offsets = operands.offsets < 0
                       ? nullptr
                       : static_cast<const int64_t *>(arguments.inputs[operands.offsets]);
    if (operands.diagonal >= 0)
      data.diagonal = *static_cast<const int64_t *>(arguments.inputs[operands.diagonal]);
  }

  AttentionData forwardData(const KernelArguments &arguments) const {
    AttentionData data{};
    data.q = arguments.inputs[0];
    data.k = arguments.inputs[1];
    data.v = arguments.inputs[2];
    data.o = arguments.outputs[0];
    data.lse = static_cast<float *>(arguments.outputs[1]);
    addOptional(data, arguments);
    return data;
  }

  AttentionData gradData(const KernelArguments &arguments) const {
    AttentionData data{};
    data.dO = arguments.inputs[0];
    data.q = arguments.inputs[1];
    data.k = arguments.inputs[2];
    data.v = arguments.inputs[3];
    data.o = arguments.inputs[4];
    data.lse = static_cast<float *>(arguments.inputs[5]);
    data.dQ = arguments.outputs[0];
    data.dK = arguments.outputs[1];
    data.dV = arguments.outputs[2];
    addOptional(data, arguments);
    return data;
  }

  AttentionCall call;
  AttentionOptional operands;
  bool isGrad;
  void (*task)(const AttentionCall &, const AttentionData &, int64_t, int64_t, float *);
  size_t scratch; // bytes per thread
  int threads;
};

} // namespace

Prepared deepshard::runtime::native::prepareAttention(const KernelSpec &spec, const Loops &loops) {
  auto kernel = std::make_unique<AttentionKernel>(attentionOf(spec), loops, spec.threads);
  const size_t bytes = kernel->workspaceBytes();
  return {std::move(kernel), bytes};
}
