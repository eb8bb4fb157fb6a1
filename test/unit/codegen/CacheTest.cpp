//===- CacheTest.cpp - kernels that were compiled before --------------------------------------===//

#include "CodegenTesting.h"

#include "passes/kernels/codegen/KernelCache.h"

#include "llvm/ADT/StringExtras.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace deepshard;
namespace fs = std::filesystem;

namespace {

/// out[0] = `value`.
std::string constantKernel(const std::string &name, int value) {
  return "func.func @" + name + R"(_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %out = llvm.load %operands : !llvm.ptr -> !llvm.ptr
    %value = arith.constant )" +
         std::to_string(value) + R"( : i64
    llvm.store %value, %out : i64, !llvm.ptr
    return
  })";
}

std::string readAll(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeAll(const fs::path &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class CacheTest : public CodegenTest {
protected:
  CacheTest() {
    std::string pattern = fs::temp_directory_path() / "deepshard-cache-XXXXXX";
    root = ::mkdtemp(pattern.data());
    options.cacheDirectory = root / "deeper" / "kernels";
    options.cpuLevel = "x86-64-v3";
  }
  ~CacheTest() override { fs::remove_all(root); }

  /// The shared object with kernels k0, k1, ..., of which k<i> gives i.
  std::string compile(int count = 1) {
    std::vector<KernelSource> kernels;
    for (int i = 0; i < count; ++i) {
      std::string name = "k" + std::to_string(i);
      kernels.push_back(source(name, constantKernel(name, i)));
    }
    llvm::FailureOr<std::string> object = compileKernels(kernels, options);
    EXPECT_TRUE(succeeded(object)) << messages;
    return succeeded(object) ? *object : "";
  }

  std::vector<fs::path> entries() const {
    std::vector<fs::path> result;
    if (fs::exists(options.cacheDirectory))
      for (const fs::directory_entry &entry : fs::directory_iterator(options.cacheDirectory))
        result.push_back(entry.path());
    std::sort(result.begin(), result.end());
    return result;
  }

  static int64_t resultOf(const std::string &object) {
    runtime::Code code(object);
    int64_t result = -1;
    void *out = &result;
    using Function = void (*)(void **, int64_t, int64_t, int64_t);
    reinterpret_cast<Function>(code.find("k0_0"))(&out, 0, 0, 0);
    return result;
  }

  fs::path root;
};

/// What is in the cache is used: an entry that was exchanged for another sound one shows.
TEST_F(CacheTest, EntriesAreUsed) {
  std::string first = compile();
  ASSERT_EQ(entries().size(), 1u);
  EXPECT_EQ(compile(), first);
  EXPECT_EQ(entries().size(), 1u);
  EXPECT_EQ(resultOf(first), 0);

  fs::path entry = entries()[0];
  KernelCache::Key key;
  std::string bytes = llvm::fromHex(entry.stem().string());
  std::copy(bytes.begin(), bytes.end(), key.begin());
  KernelCache cache(options.cacheDirectory);
  std::string object = *cache.find(key);
  ASSERT_NE(object.find("k0_0"), std::string::npos);
  object.replace(object.find("k0_0"), 4, "x9_0");
  cache.store(key, object);
  runtime::Code code(compile());
  EXPECT_TRUE(code.find("x9_0"));
}

/// Another level, another kernel: another entry.
TEST_F(CacheTest, KeysTellApart) {
  compile(3);
  EXPECT_EQ(entries().size(), 3u);
  options.cpuLevel = "x86-64-v4";
  compile(3);
  EXPECT_EQ(entries().size(), 6u);
  EXPECT_NE(KernelCache::keyOf("ab", "c"), KernelCache::keyOf("a", "bc"));
  EXPECT_EQ(KernelCache::keyOf("ab", "c"), KernelCache::keyOf("ab", "c"));
}

/// A bit that was flipped, or bytes that are missing or too many, are noticed, and the kernel is
/// compiled again.
TEST_F(CacheTest, DamageIsMended) {
  const std::string object = compile();
  const fs::path entry = entries()[0];
  const std::string good = readAll(entry);
  auto expectMended = [&](const std::string &bad) {
    writeAll(entry, bad);
    ASSERT_EQ(compile(), object);
    ASSERT_EQ(readAll(entry), good);
  };
  for (size_t size : {size_t{0}, size_t{7}, size_t{39}, size_t{40}, good.size() - 1})
    expectMended(good.substr(0, size));
  expectMended(good + "x");
  for (size_t i = 0; i < good.size(); i += i < 40 ? 3 : 97) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1 << i % 8);
    expectMended(bad);
  }
  // Something else in its place stays there.
  fs::remove(entry);
  fs::create_directory(entry);
  EXPECT_EQ(compile(), object);
  EXPECT_TRUE(fs::is_directory(entry));
  // A pipe is not waited for.
  fs::remove_all(entry);
  ASSERT_EQ(mkfifo(entry.c_str(), 0600), 0);
  EXPECT_EQ(compile(), object);
}

/// Where nothing can be written, kernels are compiled all the same.
TEST_F(CacheTest, WorksWithout) {
  std::string object = compile();
  for (const std::string &place :
       {std::string(), std::string("/proc/deepshard"), (root / "file" / "kernels").string()}) {
    writeAll(root / "file", "");
    options.cacheDirectory = place;
    EXPECT_EQ(compile(), object) << place;
  }
}

/// Processes that compile the same kernels at once, some with damaged entries before them.
TEST_F(CacheTest, ProcessesShareIt) {
  constexpr int kProcesses = 4, kKernels = 6;
  options.cacheDirectory = "";
  const std::string expected = compile(kKernels);
  options.cacheDirectory = root / "kernels";
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool isGood = true;
      for (int round = 0; round < 5 && isGood; ++round) {
        isGood = compile(kKernels) == expected;
        // One of them cuts and removes what the others read.
        if (i == 0)
          for (const fs::path &entry : entries()) {
            std::error_code code;
            if (round % 2)
              fs::remove(entry, code);
            else
              fs::resize_file(entry, 50, code);
          }
      }
      ::_exit(isGood ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(compile(kKernels), expected);
  for (const fs::path &entry : entries())
    EXPECT_EQ(entry.extension(), ".kernel");
}

/// What was not used for longest goes first, down to three quarters of the limit.
TEST_F(CacheTest, GrowthIsBounded) {
  KernelCache cache(options.cacheDirectory, 10000);
  std::vector<KernelCache::Key> keys;
  for (int i = 0; i < 10; ++i) {
    keys.push_back(KernelCache::keyOf(std::to_string(i), "level"));
    cache.store(keys.back(), std::string(960, 'x')); // and 40 of header
  }
  cache.prune();
  EXPECT_EQ(entries().size(), 10u);
  auto age = [&](const KernelCache::Key &key, int hours) {
    fs::last_write_time(fs::path(options.cacheDirectory) / (llvm::toHex(key, true) + ".kernel"),
                        fs::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  for (int i = 0; i < 10; ++i)
    age(keys[i], 100 - i);
  ASSERT_TRUE(cache.find(keys[0])); // used again
  cache.store(KernelCache::keyOf("10", "level"), std::string(960, 'x'));
  fs::path old = fs::path(options.cacheDirectory) / "abandoned.writing";
  fs::path fresh = fs::path(options.cacheDirectory) / "fresh.writing";
  writeAll(old, "");
  writeAll(fresh, "");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  cache.prune();
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_TRUE(cache.find(keys[0]));
  for (int i = 1; i <= 4; ++i)
    EXPECT_FALSE(cache.find(keys[i])) << i;
  for (int i = 5; i < 10; ++i)
    EXPECT_TRUE(cache.find(keys[i])) << i;
}

TEST_F(CacheTest, DefaultDirectory) {
  ::setenv("XDG_CACHE_HOME", "/there", 1);
  EXPECT_EQ(defaultKernelCacheDirectory(), "/there/deepshard/kernels");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(defaultKernelCacheDirectory(), "/home/me/.cache/deepshard/kernels");
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  EXPECT_EQ(defaultKernelCacheDirectory(), "");
}

} // namespace
