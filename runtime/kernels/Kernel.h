//===- Kernel.h - what a kernel is, for those who plan it and those who run it ----------------===//
//
// A kernel is asked for by provider, name, attributes and the types of its operands (`KernelSpec`).
// At plan time a provider says whether it has the kernel and how large a workspace it needs; at
// load time it prepares it once; in a step it only runs. The same interface serves constant folding
// and the oracle of the tests (provider "reference").
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_KERNEL_H
#define DEEPSHARD_RUNTIME_KERNELS_KERNEL_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace deepshard::runtime {

/// Element types. I1 takes one byte per element with the value 0 or 1. U8 and U16 occur in data
/// files only.
enum class DType : uint8_t { F32, F64, BF16, F16, I64, I32, I8, I1, U8, U16 };

size_t sizeOf(DType dtype);
std::string_view nameOf(DType dtype);
std::optional<DType> dtypeNamed(std::string_view name);

/// Type of an operand: a strided window of elements. Strides count elements; a stride of 0 repeats
/// (broadcast).
struct TensorDesc {
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t elements() const;
  bool isContiguous() const;
  /// Row-major strides for `shape`.
  static TensorDesc contiguous(DType dtype, std::vector<int64_t> shape);
  bool operator==(const TensorDesc &) const = default;
};

using AttributeValue =
    std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>>;

/// Named attributes of a kernel. The getters throw `std::invalid_argument` naming the attribute
/// when it is missing or of another kind (kernels are prepared at load, never in a step, so this is
/// an error of the plan).
class Attributes {
public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<const std::string, AttributeValue>> values)
      : values(values) {}

  void set(std::string name, AttributeValue value) { values[std::move(name)] = std::move(value); }
  bool has(std::string_view name) const { return values.find(name) != values.end(); }
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool flag(std::string_view name) const; // absent: false
  const std::string &text(std::string_view name) const;
  const std::vector<int64_t> &integers(std::string_view name) const;
  const std::map<std::string, AttributeValue, std::less<>> &all() const { return values; }

private:
  std::map<std::string, AttributeValue, std::less<>> values;
};

/// Everything that determines how a kernel computes. Two equal specs with equal `threads` compute
/// the same bits.
struct KernelSpec {
  std::string name;
  std::vector<TensorDesc> inputs;
  std::vector<TensorDesc> outputs;
  Attributes attributes;
  int threads = 1;
};

/// Addresses for one run, in the order of the spec. Outputs may equal inputs only where the
/// kernel's own description says so (`adamw`, `cross_entropy_grad`, `cross_entropy_with_grad`,
/// elementwise kernels on equal descs). `workspace` is 64-byte aligned.
struct KernelArguments {
  std::span<void *const> inputs;
  std::span<void *const> outputs;
  void *workspace = nullptr;
};

/// A prepared kernel. `run` is called from one thread at a time and does not throw or allocate; it
/// may use the OpenMP team of the calling thread with the spec's number of threads.
class Kernel {
public:
  virtual ~Kernel() = default;
  virtual void run(const KernelArguments &arguments) noexcept = 0;
};

/// A library of kernels.
class KernelProvider {
public:
  virtual ~KernelProvider() = default;
  virtual std::string_view name() const = 0;
  /// The library behind it ("oneDNN 2.7.0"), if there is one: workspaces may depend on it.
  virtual std::string library() const { return {}; }
  /// Nothing if the provider can run `spec`; else why not, as a clause ("strides of operand 1 are
  /// not supported").
  virtual std::optional<std::string> whyNot(const KernelSpec &spec) const = 0;
  /// Bytes of workspace that `spec` needs. Only for specs without a `whyNot`.
  virtual size_t workspaceBytes(const KernelSpec &) const { return 0; }
  /// Prepares a kernel. Throws `std::invalid_argument` with the `whyNot` otherwise.
  virtual std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const = 0;
};

/// The provider called `name` ("reference", "onednn", "native", "generated"); null if this build
/// does not have it. "generated" plans kernels but prepares none, because their code is a plan's.
const KernelProvider *findProvider(std::string_view name);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_KERNEL_H
