//===- Library.cpp - NVIDIA's libraries, opened by name ---------------------------------------===//

#include "runtime/device/cuda/Library.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <limits.h>
#include <sstream>

namespace fs = std::filesystem;

namespace deepshard::runtime::cuda {

/// The entries of a directory in the order of their names; none if there is no such directory.
static std::vector<fs::path> entriesOf(const fs::path &directory) {
  std::vector<fs::path> entries;
  std::error_code ignored;
  for (const fs::directory_entry &entry : fs::directory_iterator(directory, ignored))
    entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

static void addLibraryFolders(const fs::path &parent, std::vector<fs::path> &directories) {
  for (const fs::path &entry : entriesOf(parent))
    directories.push_back(entry / "lib");
}

static std::vector<fs::path> toolkitFolders() {
  std::vector<fs::path> directories;
  for (const char *variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char *value = std::getenv(variable); value && *value)
      directories.push_back(fs::path(value) / "lib64");
  directories.emplace_back("/usr/local/cuda/lib64");
  return directories;
}

/// Of the environment that is active, and of the python3 that a user would start; pip puts packages
/// into `local` for root on Debian, into the home directory for others.
static std::vector<fs::path> pythonFolders() {
  std::vector<fs::path> prefixes;
  if (const char *value = std::getenv("VIRTUAL_ENV"); value && *value)
    prefixes.emplace_back(value);
  std::error_code ignored;
  const char *path = std::getenv("PATH");
  std::istringstream parts(path ? path : "");
  for (std::string part; std::getline(parts, part, ':');)
    if (fs::exists(fs::path(part) / "python3", ignored)) {
      prefixes.push_back(fs::path(part).parent_path());
      break;
    }
  std::vector<fs::path> places;
  for (const fs::path &prefix : prefixes) {
    places.push_back(prefix / "lib");
    places.push_back(prefix / "local/lib");
  }
  if (const char *value = std::getenv("HOME"); value && *value)
    places.push_back(fs::path(value) / ".local/lib");
  std::vector<fs::path> directories;
  for (const fs::path &place : places)
    for (const fs::path &python : entriesOf(place))
      if (python.filename().string().starts_with("python3"))
        for (const char *packages : {"site-packages", "dist-packages"})
          addLibraryFolders(python / packages / "nvidia", directories);
  return directories;
}

bool Library::open(const std::string &path) {
  handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle) {
    openedPath = path;
    return true;
  }
  const char *reason = ::dlerror();
  std::error_code ignored;
  if (fs::exists(path, ignored))
    refusals.push_back(fmt::format("{} cannot be loaded: {}", path, reason));
  return false;
}

Library::Library(const std::string &what, const std::vector<std::string> &names,
                 const std::string &first)
    : what(what) {
  auto openIn = [&](const std::vector<fs::path> &directories) {
    for (const fs::path &directory : directories)
      for (const std::string &name : names)
        if (open((directory / name).string()))
          return true;
    return false;
  };
  std::vector<fs::path> given;
  if (!first.empty()) {
    given.emplace_back(first);
    addLibraryFolders(first, given);
  }
  if (openIn(given) || std::any_of(names.begin(), names.end(), [&](auto &n) { return open(n); }) ||
      openIn(toolkitFolders()) || openIn(pythonFolders()))
    return;
  if (!refusals.empty())
    throw Error(fmt::format("{}, which the plan needs: {}", what, fmt::join(refusals, "; ")));
  throw Error(fmt::format("{} ({}), which the plan needs, was found neither where the loader "
                          "looks, nor in the CUDA toolkit, nor in a Python environment: install "
                          "it, or name its directory by --cuda-libs",
                          what, fmt::join(names, " or ")));
}

std::string Library::directory() const {
  std::string directory(PATH_MAX, '\0');
  if (::dlinfo(handle, RTLD_DI_ORIGIN, directory.data()) != 0)
    return "";
  directory.resize(directory.find('\0'));
  return directory;
}

void *Library::lookUp(const char *name) const { return ::dlsym(handle, name); }

void *Library::symbol(const char *name) const {
  if (void *found = lookUp(name))
    return found;
  throw Error(fmt::format("{} ({}) has no function {}: it is another version than DeepShard "
                          "knows",
                          what, openedPath, name));
}

} // namespace deepshard::runtime::cuda
