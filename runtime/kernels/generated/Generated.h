//===- Generated.h - kernels whose code comes with the plan -----------------------------------===//
//
// A generated kernel is a list of loops that run one after another; the next begins when the last
// has ended on all threads. A loop has an extent E and is cut into C chunks: chunk c is
// [E c / C, E (c + 1) / C), which may be empty. For each, on any thread, the code is called once:
//
//   NAME_i(operands, begin, end, c)
//
// with the operands inputs, outputs, workspace. What is cut is decided with the plan and part of
// the spec, so a kernel gives the same bits on any number of threads, and may keep partial results
// by chunk. Attributes:
//
//   extents          integers, one a loop
//   chunks           integers, one a loop, from 1 on; see `chunkCount`
//   workspace_bytes  integer; 0: none
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_GENERATED_GENERATED_H
#define DEEPSHARD_RUNTIME_KERNELS_GENERATED_GENERATED_H

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/generated/Code.h"

#include <algorithm>
#include <cstdint>

namespace deepshard::runtime {

/// Into how many chunks a loop is cut: at most one a thread, each with at least `grain` of
/// `extent`, and at least one. A loop in one chunk, in a kernel that has no other, needs no team.
constexpr int64_t chunkCount(int64_t extent, int64_t grain, int64_t threads) {
  return std::clamp<int64_t>(grain > 0 ? extent / grain : threads, 1,
                             std::max<int64_t>(threads, 1));
}

/// The symbol of a kernel's loop.
inline std::string loopSymbol(std::string_view kernel, size_t loop) {
  return std::string(kernel) + "_" + std::to_string(loop);
}

/// "generated": the kernels of one plan's code. Without code (while a plan is made) it answers for
/// every kernel of sound attributes, but prepares none.
class GeneratedProvider : public KernelProvider {
public:
  /// `code` must outlive this and the kernels.
  explicit GeneratedProvider(const Code *code = nullptr) : code(code) {}

  std::string_view name() const override { return "generated"; }
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  const Code *code;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_GENERATED_GENERATED_H
