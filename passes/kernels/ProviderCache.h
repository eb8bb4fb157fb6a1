//===- ProviderCache.h - what providers said about specs
//---------------------------------------===//
//
// Layers repeat, and a provider may have to prepare a kernel to answer: every spec is asked about
// once.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_PROVIDERCACHE_H
#define DEEPSHARD_PASSES_KERNELS_PROVIDERCACHE_H

#include "runtime/kernels/Kernel.h"

#include <optional>
#include <string>
#include <unordered_map>

namespace deepshard {

class ProviderCache {
public:
  struct Answer {
    std::optional<std::string> whyNot;
    size_t workspaceBytes = 0; // if there is a kernel
  };

  /// `KernelProvider::whyNot` and `workspaceBytes`.
  const Answer &ask(const runtime::KernelProvider &provider, const runtime::KernelSpec &spec);

private:
  std::unordered_map<std::string, Answer> answers; // by the bytes of provider and spec
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_PROVIDERCACHE_H
