//===- ProviderCache.cpp - what providers said about specs ------------------------------------===//

#include "passes/kernels/ProviderCache.h"

#include <type_traits>

using namespace deepshard;

namespace {

/// Values one after another, lists and texts with their length in front: equal bytes are equal
/// specs.
class Key {
public:
  template <typename T> void add(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(T));
  }
  void add(std::string_view text) {
    add(text.size());
    bytes.append(text);
  }
  void add(const std::string &text) { add(std::string_view(text)); }
  template <typename T> void add(const std::vector<T> &values) {
    add(values.size());
    for (const T &value : values)
      add(value);
  }
  void add(const runtime::TensorDesc &desc) {
    add(desc.dtype);
    add(desc.shape);
    add(desc.strides);
  }

  std::string bytes;
};

} // namespace

const ProviderCache::Answer &ProviderCache::ask(const runtime::KernelProvider &provider,
                                                const runtime::KernelSpec &spec) {
  Key key;
  key.add(provider.name());
  key.add(spec.name);
  key.add(spec.inputs);
  key.add(spec.outputs);
  key.add(spec.threads);
  for (const auto &[name, value] : spec.attributes.all()) {
    key.add(name);
    key.add(value.index());
    std::visit([&](const auto &held) { key.add(held); }, value);
  }
  auto [found, isNew] = answers.try_emplace(std::move(key.bytes));
  if (isNew) {
    Answer &answer = found->second;
    answer.whyNot = provider.whyNot(spec);
    if (!answer.whyNot)
      answer.workspaceBytes = provider.workspaceBytes(spec);
  }
  return found->second;
}
