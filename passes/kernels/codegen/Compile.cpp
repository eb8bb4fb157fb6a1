//===- Compile.cpp - kernels in MLIR become one shared object ---------------------------------===//
//
// Each kernel goes its own way, text -> LLVM IR -> object, in contexts of its own; threads take the
// next kernel that nobody has. The objects are linked in the order of the sources.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Compile.h"

#include "passes/kernels/codegen/KernelCache.h"
#include "passes/kernels/codegen/Link.h"
#include "passes/kernels/codegen/Lower.h"
#include "passes/kernels/codegen/Object.h"

#include "runtime/kernels/CpuLevel.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

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

/// Compiles one kernel after the other.
class Worker {
public:
  explicit Worker(StringRef cpuLevel) : compiler(cpuLevel) {}

  void compile(Item &item) {
    llvm::LLVMContext context;
    llvm::Expected<std::unique_ptr<llvm::Module>> module = lowering.lower(item.text, context);
    if (!module) {
      item.error = llvm::toString(module.takeError());
      return;
    }
    llvm::Expected<std::string> object = compiler.compile(**module);
    if (object)
      item.object = std::move(*object);
    else
      item.error = llvm::toString(object.takeError());
  }

private:
  Lowering lowering;
  ObjectCompiler compiler;
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

static void compileAll(ArrayRef<Item *> items, const CodegenOptions &options) {
  std::atomic<size_t> next = 0;
  auto work = [&] {
    Worker worker(options.cpuLevel);
    for (size_t i = next++; i < items.size(); i = next++)
      worker.compile(*items[i]);
  };
  size_t threads = options.threads > 0 ? static_cast<size_t>(options.threads)
                                       : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, items.size()); ++i)
    others.emplace_back(work);
  if (!items.empty())
    work();
  for (std::thread &thread : others)
    thread.join();
}

/// The kernels that the cache does not have go through the compiler, and then into the cache.
static void makeObjects(MutableArrayRef<Item> items, const CodegenOptions &options) {
  KernelCache cache(options.cacheDirectory);
  std::vector<Item *> missing;
  for (Item &item : items) {
    item.key = KernelCache::keyOf(item.text, options.cpuLevel);
    if (std::optional<std::string> object = cache.find(item.key))
      item.object = std::move(*object);
    else
      missing.push_back(&item);
  }
  compileAll(missing, options);
  for (Item *item : missing)
    if (item->error.empty())
      cache.store(item->key, item->object);
  if (!missing.empty())
    cache.prune();
}

FailureOr<std::string> compileKernels(ArrayRef<KernelSource> kernels,
                                      const CodegenOptions &options) {
  if (kernels.empty())
    return std::string();
  ModuleOp first = kernels.front().module;
  if (!llvm::is_contained(runtime::kCpuLevels, std::string_view(options.cpuLevel)))
    return first.emitError() << "there is no code generation for the CPU level \""
                             << options.cpuLevel << "\"; there is for "
                             << llvm::join(runtime::kCpuLevels, ", ");
  std::vector<Item> items;
  llvm::StringSet<> names;
  for (const KernelSource &kernel : kernels)
    if (names.insert(kernel.name).second)
      items.push_back({&kernel, textOf(kernel.module), {}, "", ""});
  makeObjects(items, options);
  bool isGood = true;
  std::vector<std::string> objects;
  for (Item &item : items) {
    if (!item.error.empty()) {
      mlir::ModuleOp module = item.source->module;
      module.emitError() << "kernel " << item.source->name << " cannot be compiled: " << item.error;
      isGood = false;
    }
    objects.push_back(std::move(item.object));
  }
  if (!isGood)
    return failure();
  llvm::Expected<std::string> linked = linkObjects(objects);
  if (linked)
    return std::move(*linked);
  return first.emitError() << llvm::toString(linked.takeError());
}

} // namespace deepshard
