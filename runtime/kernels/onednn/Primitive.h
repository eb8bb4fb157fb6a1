//===- Primitive.h - kernels as primitives of oneDNN ------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H
#define DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H

#include "runtime/kernels/Kernel.h"

#include <dnnl.hpp>
#include <functional>
#include <omp.h>

namespace deepshard::runtime::onednn {

const dnnl::engine &cpuEngine();

/// oneDNN takes the size of its team from the calling thread's setting.
class TeamSize {
public:
  explicit TeamSize(int threads) : before(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~TeamSize() { omp_set_num_threads(before); }
  TeamSize(const TeamSize &) = delete;
  TeamSize &operator=(const TeamSize &) = delete;

private:
  int before;
};

/// An operand of a primitive: which argument of it, which input or output of the kernel, how it
/// lies in the caller's memory and how the primitive takes it. Where these differ, the kernel moves
/// it to or from a copy in its workspace.
struct Operand {
  int argument;
  bool isResult;
  unsigned index;
  dnnl::memory::desc given, taken;
};

/// One primitive that computes a kernel.
struct Call {
  dnnl::primitive_desc description;
  std::vector<Operand> operands;
};

/// How `spec` is written as a call for its number of threads. Throws `std::invalid_argument` with
/// the reason if it is not.
Call matmulCall(const KernelSpec &spec, bool adds = false); // `adds`: to what the result holds
Call linearCall(const KernelSpec &spec, bool adds = false);
/// All three of convolution, convolution_input_grad and convolution_weight_grad.
Call convolutionCall(const KernelSpec &spec);

/// The library's name of f32 or bf16. Throws `std::invalid_argument` for another.
dnnl::memory::data_type typeOf(DType dtype);

/// Operands are f32 or all bf16, and nothing is empty.
void requireFloats(const KernelSpec &spec);

/// What `create` makes with the scratchpad left to the caller (added to the result if `adds`);
/// refuses oneDNN's plain fallback, which is a thousand times slower, and turns the library's
/// errors into `std::invalid_argument`.
dnnl::primitive_desc
describe(int threads,
         const std::function<dnnl::primitive_desc(const dnnl::primitive_attr &)> &create,
         bool adds = false);

/// Bytes of workspace that a call needs.
size_t workspaceBytes(const Call &call);
std::unique_ptr<Kernel> prepare(const Call &call, int threads);

} // namespace deepshard::runtime::onednn

#endif // DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H
