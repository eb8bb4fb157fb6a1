//===- CompileEach.cpp - kernels through a compiler, side by side -----------------------------===//
//
// Each kernel goes its own way, in contexts of its own; threads take the next kernel that nobody
// has.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/CompileEach.h"

#include "passes/kernels/codegen/KernelCache.h"

#include "llvm/ADT/StringSet.h"

#include <algorithm>
#include <atomic>
#include <thread>

using namespace mlir;

namespace deepshard {

namespace {

/// A kernel on its way.
struct Item {
  const KernelSource *source;
  std::string text;
  KernelCache::Key key;
  std::string object; // empty: not yet compiled
  std::string error;  // empty: none
};

} // namespace

/// The module without locations; independent of flags of the command line and of what surrounds it.
static std::string textOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  flags.useLocalScope().enableDebugInfo(false).printGenericOpForm(false);
  module.print(stream, flags);
  return text;
}

static void compileAll(ArrayRef<Item *> items, int wanted,
                       llvm::function_ref<KernelCompiler()> makeCompiler) {
  std::atomic<size_t> next = 0;
  auto work = [&] {
    KernelCompiler compile = makeCompiler();
    for (size_t i = next++; i < items.size(); i = next++) {
      llvm::Expected<std::string> object = compile(items[i]->text);
      if (object)
        items[i]->object = std::move(*object);
      else
        items[i]->error = llvm::toString(object.takeError());
    }
  };
  size_t threads =
      wanted > 0 ? static_cast<size_t>(wanted) : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, items.size()); ++i)
    others.emplace_back(work);
  if (!items.empty())
    work();
  for (std::thread &thread : others)
    thread.join();
}

FailureOr<std::vector<std::string>> compileEach(ArrayRef<KernelSource> kernels, StringRef level,
                                                const CompileEachOptions &options,
                                                llvm::function_ref<KernelCompiler()> makeCompiler) {
  std::vector<Item> items;
  llvm::StringSet<> names;
  for (const KernelSource &kernel : kernels)
    if (names.insert(kernel.name).second)
      items.push_back({&kernel, textOf(kernel.module), {}, "", ""});
  KernelCache cache(options.cacheDirectory);
  std::vector<Item *> missing;
  for (Item &item : items) {
    item.key = KernelCache::keyOf(item.text, level);
    if (std::optional<std::string> object = cache.find(item.key))
      item.object = std::move(*object);
    else
      missing.push_back(&item);
  }
  compileAll(missing, options.threads, makeCompiler);
  for (Item *item : missing)
    if (item->error.empty())
      cache.store(item->key, item->object);
  if (!missing.empty())
    cache.prune();

  bool isGood = true;
  std::vector<std::string> objects;
  for (Item &item : items) {
    if (!item.error.empty()) {
      ModuleOp module = item.source->module;
      module.emitError() << "kernel " << item.source->name << " cannot be compiled: " << item.error;
      isGood = false;
    }
    objects.push_back(std::move(item.object));
  }
  if (!isGood)
    return failure();
  return objects;
}

} // namespace deepshard
