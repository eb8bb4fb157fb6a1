//===- Providers.cpp - the list of providers --------------------------------------------------===//

#include "runtime/kernels/Providers.h"

#include "runtime/kernels/CpuLevel.h"

using namespace deepshard::runtime;

/// That of the providers; a view of a constant.
static std::string_view &providerLevel() {
  static std::string_view level = cpuLevel();
  return level;
}

void deepshard::runtime::limitProviders(std::string_view level) {
  for (std::string_view known : kCpuLevels)
    if (known == level && known != providerLevel() && offers(providerLevel(), known)) {
      providerLevel() = known;
      limitOnednn(known);
      return;
    }
}

const KernelProvider *deepshard::runtime::findProvider(std::string_view name) {
  for (const KernelProvider *provider : {&referenceProvider(), &onednnProvider(providerLevel()),
                                         &nativeProvider(providerLevel()), &generatedProvider()})
    if (provider->name() == name)
      return provider;
  return nullptr;
}
