//===- Provider.cpp - the reference provider --------------------------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/reference/Reference.h"

#include <stdexcept>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

class ReferenceProvider : public KernelProvider {
public:
  ReferenceProvider() {
    for (auto *add : {addUnary, addBinary, addConvert, addReduce, addLayout, addMatmul,
                      addConvolution, addIndexing, addDropout, addUpdate})
      add(table);
  }

  std::string_view name() const override { return "reference"; }

  std::optional<std::string> whyNot(const KernelSpec &spec) const override {
    try {
      prepare(spec);
      return std::nullopt;
    } catch (const std::invalid_argument &error) {
      return error.what();
    }
  }

  size_t workspaceBytes(const KernelSpec &spec) const override {
    const KernelEntry &entry = find(spec.name);
    return entry.workspaceBytes ? entry.workspaceBytes(spec) : 0;
  }

  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override {
    return find(spec.name).prepare(spec);
  }

private:
  const KernelEntry &find(const std::string &name) const {
    auto found = table.find(name);
    if (found == table.end())
      throw std::invalid_argument("there is no reference kernel called " + name);
    return found->second;
  }

  KernelTable table;
};

} // namespace

const KernelProvider &deepshard::runtime::referenceProvider() {
  static const ReferenceProvider provider;
  return provider;
}
