//===- Plugin.h - what ds-opt and the LibTorch plugin say to each other -----------------------===//
//
// LibTorch lives in libds_torchscript.so, which ds-opt opens with dlopen when a TorchScript file is
// given. The plugin knows nothing of MLIR, ds-opt nothing of LibTorch: between them goes this
// description of the partially evaluated model, plain C++ that both sides compile with one
// compiler.
//
// Importing is partial evaluation (see Evaluator.h): the plugin runs the model's program on values
// that it knows (numbers, lists, flags, constant tensors) and on shapes for those it does not, and
// writes down the aten ops on unknown tensors, in order, with all other arguments as literals.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace deepshard::torchscript {

/// Element type under the name of the graph dialect (f32, bf16, f16, f64, i64, i32, i8, i1);
/// another name means a type that the graph dialect lacks. Sizes are static.
struct TensorType {
  std::string elementType;
  std::vector<int64_t> shape;
};

/// Where in the user's model something happens.
struct Place {
  /// Dotted path of the module, empty for the outermost.
  std::string module;
  /// The user's source, empty if the archive does not say.
  std::string file;
  unsigned line = 0;
};

/// A tensor of the program: an index into ImportedGraph::values. kNone stands for an optional
/// tensor not given.
struct TensorRef {
  static constexpr int kNone = -1;
  int id = kNone;
};

/// An argument of an aten op: None, a literal, a list of literals (flags are 0 and 1), a tensor,
/// tensors.
using Literal =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>,
                 std::vector<double>, TensorRef, std::vector<TensorRef>>;

/// An aten op on unknown tensors. An in-place op ("aten::add_") is listed under its functional name
/// ("aten::add"): its result is the new value of its first argument and has that argument's type.
struct AtenNode {
  std::string name;
  std::string overload;
  /// Every argument of the op's schema, in its order, defaults filled in.
  std::vector<std::pair<std::string, Literal>> arguments;
  std::vector<TensorRef> results;
  /// The type to which PyTorch promotes `self` and `other` before it computes; empty if there are
  /// no such arguments.
  std::string operandType;
  /// LibTorch cannot say which shape the results have; what depends on them is left out.
  bool unknownShape = false;
  Place place;
};

/// A tensor that depends on constants only, row-major.
struct Constant {
  TensorRef value;
  std::vector<char> bytes;
};

/// An argument of the program.
struct Argument {
  enum class Kind { parameter, buffer, input };
  /// Where the first value of a parameter or buffer lies in the archive; strides count elements.
  struct Storage {
    int64_t offset = 0;
    std::vector<int64_t> strides;
  };
  Kind kind = Kind::input;
  std::string name;
  /// Further names of the same tensor.
  std::vector<std::string> aliases;
  TensorRef value;
  /// Nothing: the archive has no data for it (traced on the meta device).
  std::optional<Storage> storage;
  std::optional<unsigned> batchDimension, sequenceDimension;
  /// The last value of a buffer that the model writes to.
  TensorRef newValue;
};

struct Output {
  std::string name;
  TensorRef value;
};

/// Something that makes the import impossible.
struct Fault {
  std::string message;
  /// Nothing: it concerns the file or the inputs as a whole.
  std::optional<Place> place;
};

struct ImportedGraph {
  std::vector<TensorType> values;
  std::vector<Argument> arguments;
  std::vector<Constant> constants;
  std::vector<AtenNode> nodes;
  std::vector<Output> outputs;
  /// Modules whose dropout was switched off when the model was traced.
  std::vector<Place> inactiveDropouts;
  /// The outermost module was in training mode.
  bool training = true;
  std::vector<Fault> faults;
};

/// One argument of `forward` as the user describes it.
struct RequestedInput {
  std::string name;
  TensorType type;
  std::optional<unsigned> batchDimension, sequenceDimension;
};

struct Request {
  std::string path;
  std::vector<RequestedInput> inputs;
  int64_t foldCap = 0;
};

/// Changes with every change of this file, so that a plugin of another build is refused.
inline constexpr int kInterfaceVersion = 2;
/// `extern "C" int ds_torchscript_interface_version()`
inline constexpr const char *kVersionSymbol = "ds_torchscript_interface_version";
using VersionFunction = int (*)();
/// `extern "C" void ds_torchscript_import(const Request &, ImportedGraph &)`; throws nothing,
/// faults are in the result.
inline constexpr const char *kImportSymbol = "ds_torchscript_import";
using ImportFunction = void (*)(const Request &, ImportedGraph &);

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_H
