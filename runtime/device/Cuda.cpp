//===- Cuda.cpp - opens the library with all that knows CUDA ----------------------------------===//

#include "runtime/device/Cuda.h"

#include "runtime/kernels/cuda/GraphCompiler.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <mutex>

namespace deepshard::runtime {

static constexpr const char *kLibrary = "libds_cuda.so";

/// What DEEPSHARD_CUDA_LIBRARY names; else beside this program, as it was built or installed; else
/// where the loader looks.
static void *openLibrary() {
  if (const char *named = std::getenv("DEEPSHARD_CUDA_LIBRARY"); named && *named) {
    if (void *handle = ::dlopen(named, RTLD_NOW | RTLD_LOCAL))
      return handle;
    throw Error(fmt::format("DEEPSHARD_CUDA_LIBRARY: {}", ::dlerror()));
  }
  std::error_code ignored;
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  std::filesystem::path beside = program.parent_path().parent_path() / "lib" / kLibrary;
  if (void *handle = ::dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL))
    return handle;
  std::string reason = ::dlerror();
  if (std::filesystem::exists(beside, ignored))
    throw Error(fmt::format("{} cannot be loaded: {}", beside.string(), reason));
  if (void *handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL))
    return handle;
  throw Error(fmt::format("the plan is for CUDA, but this ds-run has no {}: it is neither {} nor "
                          "on the loader's path; build DeepShard where the CUDA toolkit or the "
                          "packages of requirements-cuda.txt are installed",
                          kLibrary, beside.string()));
}

/// Opened once and kept: what it loads cannot be unloaded safely.
static void *library() {
  static std::mutex mutex;
  static void *library = nullptr;
  std::lock_guard lock(mutex);
  if (!library)
    library = openLibrary();
  return library;
}

/// What the library's function `name`, of type `Entry`, makes.
template <typename Entry, typename Options>
static auto make(const char *name, const Options &options) {
  auto *entry = reinterpret_cast<Entry *>(::dlsym(library(), name));
  if (!entry)
    throw Error(fmt::format("{} is not DeepShard's: it has no function {}", kLibrary, name));
  auto *made = entry(kCudaBuild, &options);
  if (!made)
    throw Error(fmt::format("{} belongs to another build than this program ({}): build both again",
                            kLibrary, kCudaBuild));
  return std::unique_ptr<std::remove_pointer_t<decltype(made)>>(made);
}

std::unique_ptr<Device> openCuda(const CudaOptions &options) {
  return make<CudaEntry>(kCudaEntry, options);
}

std::unique_ptr<GraphCompiler> openGraphCompiler(const GraphCompilerOptions &options) {
  return make<GraphCompilerEntry>(kGraphCompilerEntry, options);
}

} // namespace deepshard::runtime
