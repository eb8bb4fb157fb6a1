//===- Link.h - objects of kernels become one shared object -----------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_LINK_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_LINK_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace deepshard {

/// Links objects for x86-64 Linux into a shared object without dependencies that exports all of
/// their global symbols. The bytes depend on `objects` and their order alone. Fails if a symbol is
/// defined twice or not at all, or if no temporary file can be written.
llvm::Expected<std::string> linkObjects(llvm::ArrayRef<std::string> objects);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_LINK_H
