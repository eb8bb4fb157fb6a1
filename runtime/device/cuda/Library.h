//===- Library.h - NVIDIA's libraries, opened by name -----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_LIBRARY_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_LIBRARY_H

#include <string>
#include <vector>

namespace deepshard::runtime::cuda {

/// A shared library that stays open as long as the process. It is looked for
///
///   in the directory given first, and in the folders lib of its folders (so that the folder nvidia
///   of a Python environment will do);
///   where the loader looks;
///   in the toolkit (CUDA_PATH, CUDA_HOME, /usr/local/cuda);
///   in the folders nvidia/*/lib of the Python environments of VIRTUAL_ENV and of the first python3
///   on PATH, and of the user's own packages.
class Library {
public:
  /// `what`: its name for people; `names`: of the file, in order of preference. Throws Error that
  /// says where it was looked for.
  Library(const std::string &what, const std::vector<std::string> &names, const std::string &first);

  /// Sets `function` to the one called `name`. Throws Error if there is none such.
  template <typename Function> void find(const char *name, Function *&function) const {
    function = reinterpret_cast<Function *>(symbol(name));
  }
  /// Null if there is none such.
  template <typename Function> void findIfThere(const char *name, Function *&function) const {
    function = reinterpret_cast<Function *>(lookUp(name));
  }
  const std::string &path() const { return openedPath; }
  /// Where the file lies, also if the loader found it.
  std::string directory() const;
  void *rawHandle() const { return handle; }

private:
  bool open(const std::string &path);
  void *symbol(const char *name) const;
  void *lookUp(const char *name) const;

  std::string what;
  std::string openedPath;
  std::vector<std::string> refusals; // of files that exist
  void *handle = nullptr;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_LIBRARY_H
