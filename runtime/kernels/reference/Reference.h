//===- Reference.h - the kernels of the reference provider ------------------------------------===//
//
// One factory per kernel. A factory checks the spec (throws `std::invalid_argument` with the
// reason) and prepares the kernel. The comment of a factory is the meaning of the primitive of that
// name in the graph dialect. Operands may have any strides that are not negative; a kernel computes
// the same bits for every number of threads.
//
// f32 is computed in f32 where one rounding suffices, and with sums kept in f64. bf16 and f16,
// which elementwise kernels, products and those that move elements know, are computed with as f32
// and rounded once. Integers wrap around.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REFERENCE_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REFERENCE_H

#include "runtime/kernels/Kernel.h"

#include <map>
#include <memory>
#include <string>

namespace deepshard::runtime::reference {

struct KernelEntry {
  std::unique_ptr<Kernel> (*prepare)(const KernelSpec &spec);
  size_t (*workspaceBytes)(const KernelSpec &spec) = nullptr; // null: none
};

using KernelTable = std::map<std::string, KernelEntry, std::less<>>;

// Each file adds its kernels.
void addUnary(KernelTable &table);
void addBinary(KernelTable &table);
void addConvert(KernelTable &table);
void addReduce(KernelTable &table);
void addLayout(KernelTable &table);
void addMatmul(KernelTable &table);
void addConvolution(KernelTable &table);
void addIndexing(KernelTable &table);
void addDropout(KernelTable &table);
void addUpdate(KernelTable &table);

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REFERENCE_H
