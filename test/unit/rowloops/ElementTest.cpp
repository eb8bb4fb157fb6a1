//===- ElementTest.cpp - elements of every type, and numbers at the ends of their range -------===//
//
// What is exact in the reference kernels has the same bits in generated ones, NaN and infinities
// included.
//
//===------------------------------------------------------------------------------------------===//

#include "RowKernelTesting.h"

#include "runtime/kernels/CpuLevel.h"

#include <cstring>
#include <limits>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;

std::vector<std::string> runnableLevels() {
  std::vector<std::string> result;
  for (std::string_view level : runtime::kCpuLevels)
    if (runtime::offers(runtime::cpuLevel(), level))
      result.emplace_back(level);
  return result;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Numbers at which something can go wrong: signed zeros, denormals, ties of roundings, the ends of
/// ranges of other types and of functions.
const std::vector<float> kFloats = {0.0f,
                                    -0.0f,
                                    1.0f,
                                    -1.0f,
                                    0.5f,
                                    -0.5f,
                                    1.5f,
                                    -2.5f,
                                    kNaN,
                                    -kNaN,
                                    kInfinity,
                                    -kInfinity,
                                    1e-45f,
                                    -1e-45f,
                                    1.1e-38f,
                                    -5e-39f,
                                    1.17549435e-38f,
                                    3.4028235e38f,
                                    -3.4028235e38f,
                                    3.3961775e38f,
                                    1e-30f,
                                    -1e20f,
                                    88.5f,
                                    -87.3f,
                                    -104.5f,
                                    89.0f,
                                    8388609.0f,
                                    16777217.0f,
                                    2147483520.0f,
                                    2147483648.0f,
                                    -2147483648.0f,
                                    -2147484000.0f,
                                    9.223372e18f,
                                    -9.223372e18f,
                                    9.3e18f,
                                    1.00390625f,
                                    1.01171875f,
                                    0.99999994f,
                                    123456.789f,
                                    -7.25f};
const std::vector<int64_t> kIntegers = {0,
                                        1,
                                        -1,
                                        2,
                                        -3,
                                        255,
                                        257,
                                        -32769,
                                        (int64_t{1} << 24) + 1,
                                        (int64_t{1} << 31) - 1,
                                        int64_t{1} << 31,
                                        -(int64_t{1} << 31),
                                        (int64_t{1} << 40) + 12345,
                                        (int64_t{1} << 53) + 1,
                                        std::numeric_limits<int64_t>::max(),
                                        std::numeric_limits<int64_t>::min()};

/// A function that returns the result of each of several ops.
class OpsText {
public:
  explicit OpsText(std::string name) : name(std::move(name)) {}

  void argument(const std::string &value, const std::string &type) {
    arguments += (arguments.empty() ? "" : ", ") + value + ": " + type;
  }
  /// A line of the body.
  void line(const std::string &text) { body += "  " + text + "\n"; }
  void result(const std::string &value, const std::string &type) {
    values += (values.empty() ? "" : ", ") + value;
    types += (types.empty() ? "" : ", ") + type;
  }
  /// A fresh value that is returned.
  std::string next(const std::string &type) {
    std::string value = "%r" + std::to_string(count++);
    result(value, type);
    return value;
  }
  std::string text() const {
    return "func.func @" + name + "(" + arguments + ") -> (" + types + ") {\n" + body +
           "  return " + values + " : " + types + "\n}\n";
  }

private:
  std::string name, arguments, body, values, types;
  int count = 0;
};

class ElementTest : public RowKernelTest {
protected:
  RankedTensorType type(ArrayRef<int64_t> shape, StringRef element) {
    Builder b(&context);
    Type elementType = element == "f32"    ? Type(b.getF32Type())
                       : element == "bf16" ? Type(b.getBF16Type())
                       : element == "f16"  ? Type(b.getF16Type())
                       : element == "i64"  ? Type(b.getI64Type())
                       : element == "i32"  ? Type(b.getI32Type())
                                           : Type(b.getI1Type());
    return RankedTensorType::get(shape, elementType);
  }

  /// Special numbers in an element type, which the reference kernels convert.
  HostTensor specials(StringRef element) {
    if (element == "f32" || element == "bf16" || element == "f16") {
      HostTensor tensor(type({static_cast<int64_t>(kFloats.size())}, "f32"));
      llvm::copy(kFloats, tensor.as<float>());
      return element == "f32" ? tensor : converted(tensor, element);
    }
    HostTensor tensor(type({static_cast<int64_t>(kIntegers.size())}, "i64"));
    llvm::copy(kIntegers, tensor.as<int64_t>());
    return element == "i64" ? tensor : converted(tensor, element);
  }

  HostTensor converted(const HostTensor &tensor, StringRef element) {
    std::string name = "convert" + std::to_string(++functions);
    std::string from = textOf(tensor.getType()),
                to = textOf(type(tensor.getType().getShape(), element));
    return expected(parse("func.func @" + name + "(%x: " + from + ") -> " + to +
                              " {\n  %y = graph.convert %x : " + from + " to " + to +
                              "\n  return %y : " + to + "\n}",
                          name),
                    {tensor})[0];
  }

  static std::string textOf(Type type) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return text;
  }

  /// Every pair of special numbers: the first of the pairs, and the second.
  std::pair<HostTensor, HostTensor> pairs(StringRef element) {
    HostTensor numbers = specials(element);
    int64_t count = numbers.getType().getNumElements();
    size_t size = numbers.size() / count;
    RankedTensorType square = numbers.getType().clone({count, count});
    std::pair<HostTensor, HostTensor> result = {HostTensor(square), HostTensor(square)};
    for (int64_t i = 0; i < count * count; ++i) {
      std::memcpy(result.first.as<char>() + i * size, numbers.as<char>() + i / count * size, size);
      std::memcpy(result.second.as<char>() + i * size, numbers.as<char>() + i % count * size, size);
    }
    return result;
  }

  /// Runs the kernel of `text` on every level; the results are what the interpreter makes of it.
  void compare(const OpsText &text, const std::vector<HostTensor> &arguments, double tolerance = 0,
               bool inF64 = false) {
    func::FuncOp function = parse(text.text());
    ASSERT_TRUE(function);
    for (const std::string &level : runnableLevels()) {
      Options options;
      options.level = level;
      Case *test = add(function, arguments, options);
      ASSERT_TRUE(test) << text.text();
      compile(level);
      run(*test);
      SCOPED_TRACE(level);
      check(*test, tolerance, inF64);
    }
  }

  int functions = 0;
};

constexpr const char *kExactUnary[] = {"neg",   "abs",        "floor", "sqrt",
                                       "rsqrt", "reciprocal", "sign"};
constexpr const char *kBinary[] = {"add", "sub", "mul", "div", "maximum", "minimum"};
constexpr const char *kDirections[] = {"eq", "ne", "lt", "le", "gt", "ge"};

/// Arithmetic on bf16 and f16 is done in f32 and rounded once.
TEST_F(ElementTest, ExactOpsOnFloats) {
  for (std::string element : {"f32", "bf16", "f16"}) {
    auto [x, y] = pairs(element);
    std::string t = textOf(x.getType()),
                flags = textOf(x.getType().clone(IntegerType::get(&context, 1)));
    OpsText ops("f");
    ops.argument("%x", t);
    ops.argument("%y", t);
    for (std::string op : kExactUnary)
      ops.line(ops.next(t) + " = graph." + op + " %y : " + t);
    for (std::string op : kBinary)
      ops.line(ops.next(t) + " = graph." + op + " %x, %y : " + t + ", " + t);
    for (std::string direction : kDirections) {
      std::string flag = ops.next(flags);
      ops.line(flag + " = graph.compare \"" + direction + "\" %x, %y : " + t + ", " + t);
      ops.line(ops.next(t) + " = graph.select " + flag + ", %x, %y : " + flags + ", " + t + ", " +
               t);
    }
    compare(ops, {x, y});
  }
}

TEST_F(ElementTest, FunctionsOnFloats) {
  HostTensor x = specials("f32");
  std::string t = textOf(x.getType());
  OpsText ops("f");
  ops.argument("%x", t);
  for (std::string op : {"exp", "log", "sin", "cos", "tanh", "erf", "ndtr", "sigmoid"})
    ops.line(ops.next(t) + " = graph." + op + " %x : " + t);
  compare(ops, {x}, 1e-6, /*inF64=*/true);
}

TEST_F(ElementTest, Integers) {
  for (std::string element : {"i64", "i32"}) {
    auto [x, y] = pairs(element);
    std::string t = textOf(x.getType()),
                flags = textOf(x.getType().clone(IntegerType::get(&context, 1)));
    OpsText ops("f");
    ops.argument("%x", t);
    ops.argument("%y", t);
    ops.line(ops.next(t) + " = graph.neg %x : " + t);
    for (std::string op : {"add", "sub", "mul", "maximum", "minimum"})
      ops.line(ops.next(t) + " = graph." + op + " %x, %y : " + t + ", " + t);
    for (std::string direction : kDirections) {
      std::string flag = ops.next(flags);
      ops.line(flag + " = graph.compare \"" + direction + "\" %x, %y : " + t + ", " + t);
      ops.line(ops.next(t) + " = graph.select " + flag + ", %x, %y : " + flags + ", " + t + ", " +
               t);
    }
    compare(ops, {x, y});
  }
}

TEST_F(ElementTest, Flags) {
  auto [x, y] = pairs("i1");
  std::string t = textOf(x.getType());
  OpsText ops("f");
  ops.argument("%x", t);
  ops.argument("%y", t);
  ops.line(ops.next(t) + " = graph.not %x : " + t);
  for (std::string op : {"and", "or"})
    ops.line(ops.next(t) + " = graph." + op + " %x, %y : " + t + ", " + t);
  for (std::string direction : {"eq", "ne"})
    ops.line(ops.next(t) + " = graph.compare \"" + direction + "\" %x, %y : " + t + ", " + t);
  ops.line(ops.next(t) + " = graph.select %x, %y, %x : " + t + ", " + t + ", " + t);
  compare(ops, {x, y});
}

/// Of every type to every other that kernels are generated for.
TEST_F(ElementTest, Conversions) {
  for (std::string from : {"f32", "bf16", "f16", "i64", "i32", "i1"}) {
    HostTensor x = specials(from);
    std::string t = textOf(x.getType());
    OpsText ops("f");
    ops.argument("%x", t);
    int generated = 0;
    for (std::string to : {"f32", "bf16", "f16", "i64", "i32", "i1"}) {
      if (from == to)
        continue;
      std::string u = textOf(type(x.getType().getShape(), to));
      std::string name = "one" + std::to_string(++functions);
      func::FuncOp one = parse("func.func @" + name + "(%x: " + t + ") -> " + u +
                                   " {\n  %y = graph.convert %x : " + t + " to " + u +
                                   "\n  return %y : " + u + "\n}",
                               name);
      if (!RowLoops::canBe(&one.getBody().front().front()))
        continue;
      ++generated;
      ops.line(ops.next(u) + " = graph.convert %x : " + t + " to " + u);
    }
    EXPECT_GE(generated, 1) << from;
    compare(ops, {x});
  }
}

TEST_F(ElementTest, ReductionsOfSpecialNumbers) {
  const int64_t rows = 40, columns = 37;
  HostTensor x(type({rows, columns}, "f32")), y = randomTensor(x.getType());
  std::copy_n(y.as<float>(), rows * columns, x.as<float>());
  float *at = x.as<float>();
  // Rows 0 .. 36 have a NaN somewhere, every second one is all -inf or has both infinities.
  for (int64_t i = 0; i < columns; ++i) {
    if (i % 4 == 1)
      std::fill_n(at + i * columns, columns, -kInfinity);
    if (i % 4 == 3)
      at[i * columns + 5] = kInfinity, at[i * columns + 30] = -kInfinity;
    if (i % 2 == 0)
      at[i * columns + i] = kNaN;
  }
  std::fill_n(at + 37 * columns, columns, 1e-41f); // denormals
  std::fill_n(at + 38 * columns, columns, kInfinity);
  std::string t = textOf(x.getType()), row = textOf(type({rows}, "f32")),
              column = textOf(type({columns}, "f32")), wide = textOf(type({rows, 1}, "f32"));
  OpsText ops("f");
  ops.argument("%x", t);
  for (std::string op : {"reduce_sum", "reduce_max", "reduce_min"}) {
    ops.line(ops.next(row) + " = graph." + op + " %x dims [1] : " + t);
    ops.line(ops.next(column) + " = graph." + op + " %x dims [0] : " + t);
  }
  ops.line("%m = graph.reduce_max %x dims [1] keep_dims : " + t);
  ops.line("%d = graph.sub %x, %m : " + t + ", " + wide);
  ops.line("%e = graph.exp %d : " + t);
  ops.line("%s = graph.reduce_sum %e dims [1] keep_dims : " + t);
  ops.line(ops.next(t) + " = graph.div %e, %s : " + t + ", " + wide);
  compare(ops, {x}, 1e-6, /*inF64=*/true);
}

/// Rows of values of every type that are kept from one phase for another, scalars of rows and
/// columns of every type.
TEST_F(ElementTest, TypesAcrossPhases) {
  const int64_t rows = 7, columns = 45;
  auto full = [&](StringRef element) { return textOf(type({rows, columns}, element)); };
  auto row = [&](StringRef element) { return textOf(type({rows, 1}, element)); };
  auto column = [&](StringRef element) { return textOf(type({columns}, element)); };
  std::string f32 = full("f32"), bf16 = full("bf16"), i64 = full("i64"), i32 = full("i32"),
              i1 = full("i1");
  OpsText ops("f");
  ops.argument("%x", f32);
  ops.argument("%l", i64);
  ops.argument("%k", i32);
  ops.argument("%c", i1);
  ops.argument("%h", bf16);
  ops.line("%m = graph.reduce_max %x dims [1] keep_dims : " + f32);
  // Chains of more operations than are done again.
  auto chain = [&](const std::string &from, const std::string &prefix, const std::string &type) {
    std::string last = from;
    for (int i = 0; i < 9; ++i) {
      std::string now = prefix + std::to_string(i);
      ops.line(now + " = graph." + (i % 2 ? "mul " : "add ") + last + ", " + from + " : " + type +
               ", " + type);
      last = now;
    }
    return last;
  };
  // A flag that is dear because of what it is made of.
  ops.line("%e = graph.exp %x : " + f32);
  ops.line("%g = graph.compare \"gt\" %e, %x : " + f32 + ", " + f32);
  ops.line("%mc = graph.convert %m : " + row("f32") + " to " + row("i1"));
  ops.result("%mc", row("i1"));
  ops.line("%gm = graph.and %g, %mc : " + i1 + ", " + row("i1"));
  ops.line(ops.next(i1) + " = graph.or %gm, %c : " + i1 + ", " + i1);
  for (auto [from, element] : {std::pair("%l", "i64"), std::pair("%k", "i32")}) {
    std::string prefix = std::string(from) + "c", last = chain(from, prefix, full(element));
    std::string to = full(element), sum = prefix + "s";
    ops.line(prefix + "m = graph.convert %m : " + row("f32") + " to " + row(element));
    ops.result(prefix + "m", row(element));
    ops.line(sum + " = graph.add " + last + ", " + prefix + "m : " + to + ", " + row(element));
    ops.line(ops.next(to) + " = graph.select %gm, " + sum + ", " + from + " : " + i1 + ", " + to +
             ", " + to);
  }
  ops.line("%t = graph.floor %x : " + f32); // exact: bf16 rounds alike
  ops.line("%th = graph.convert %t : " + f32 + " to " + bf16);
  std::string h = chain("%h", "%hc", bf16);
  ops.line("%mh = graph.convert %m : " + row("f32") + " to " + row("bf16"));
  ops.result("%mh", row("bf16"));
  ops.line("%s = graph.add " + h + ", %mh : " + bf16 + ", " + row("bf16"));
  ops.line(ops.next(bf16) + " = graph.add %s, %th : " + bf16 + ", " + bf16);
  // Columns.
  ops.line("%w = graph.reduce_sum %t dims [0] : " + f32);
  for (std::string element : {"i64", "i32", "bf16", "i1"})
    ops.line(ops.next(column(element)) + " = graph.convert %w : " + column("f32") + " to " +
             column(element));
  func::FuncOp function = parse(ops.text());
  ASSERT_TRUE(function);
  std::vector<HostTensor> arguments = randomArguments(function);
  for (int threads : {1, 3})
    for (const std::string &level : runnableLevels()) {
      Options options;
      options.level = level;
      options.threads = threads;
      Case *test = add(function, arguments, options);
      ASSERT_TRUE(test);
      EXPECT_GE(test->kernel->getSpills().size(), 4u);
      compile(level);
      run(*test);
      SCOPED_TRACE(level);
      check(*test, 0);
    }
}

/// The same elements as the reference kernel drops.
TEST_F(ElementTest, Dropout) {
  const std::string counterType = "tensor<3xi64>";
  auto counter = [&](int64_t seed, int64_t step, int64_t microBatch) {
    HostTensor tensor(type({3}, "i64"));
    tensor.as<int64_t>()[0] = seed;
    tensor.as<int64_t>()[1] = step;
    tensor.as<int64_t>()[2] = microBatch;
    return tensor;
  };
  struct Part {
    std::vector<int64_t> shape, whole, offsets; // no whole: all of it
  };
  const Part parts[] = {{{5, 37}, {}, {}},
                        {{3, 1, 50}, {}, {}},
                        {{20001}, {}, {}},
                        {{4, 16}, {12, 43}, {3, 9}},
                        {{2, 3, 7}, {6, 5, 21}, {4, 2, 14}},
                        {{1, 40}, {9, 40}, {8, 0}},
                        // An element has a number above 2^32.
                        {{2, 33}, {100000, 100000}, {99998, 99001}}};
  struct Pending {
    Case *test;
    func::FuncOp oracle;
    std::string text;
    HostTensor x, offsets, id;
  };
  std::vector<Pending> pending;
  int64_t id = 11;
  for (const Part &part : parts)
    for (const char *p : {"0.0", "0.1", "0.5", "0.999"}) {
      std::string name = "dropout" + std::to_string(++id);
      std::string x = textOf(type(part.shape, "f32")), at, atType;
      auto rank = static_cast<int64_t>(part.shape.size());
      if (!part.whole.empty()) {
        at = " at %offsets in [";
        for (auto [i, size] : llvm::enumerate(part.whole))
          at += (i ? ", " : "") + std::to_string(size);
        at += "]";
        atType = ", tensor<" + std::to_string(rank) + "xi64>";
      }
      std::string signature =
          "(%x: " + x + ", %counter: " + counterType +
          (part.whole.empty() ? ", %unused: tensor<1xi64>"
                              : ", %offsets: tensor<" + std::to_string(rank) + "xi64>") +
          ", %id: tensor<i64>) -> (" + x + ", " + x + ")";
      // One whose id is known, one whose id is an argument; the reference knows both.
      auto text = [&](const std::string &function, int64_t second, const std::string &attribute) {
        std::string operands = "graph.dropout %y, %counter" + at + " p " + p + " id ";
        std::string types = " : " + x + ", " + counterType + atType;
        return "func.func @" + function + signature + " {\n  %y = graph.neg %x : " + x +
               "\n  %0 = " + operands + std::to_string(id) + types + "\n  %1 = " + operands +
               std::to_string(second) + attribute + types + "\n  return %0, %1 : " + x + ", " + x +
               "\n}";
      };
      func::FuncOp function = parse(text(name, 0, " {graph.id_argument = 3 : i64}"), name);
      func::FuncOp oracle = parse(text(name + "_oracle", 4000000000 + id, ""), name + "_oracle");
      ASSERT_TRUE(function && oracle);
      HostTensor x0 = randomTensor(type(part.shape, "f32"));
      HostTensor offsets(type({part.whole.empty() ? 1 : rank}, "i64"));
      llvm::copy(part.offsets, offsets.as<int64_t>());
      HostTensor number(type({}, "i64"));
      number.as<int64_t>()[0] = 4000000000 + id;
      for (const std::string &level : runnableLevels()) {
        Options options;
        options.level = level;
        options.threads = 3;
        Case *test = add(function, {}, options);
        ASSERT_TRUE(test);
        pending.push_back(
            {test, oracle, level + ", p " + p + " of " + x + at, x0, offsets, number});
      }
    }
  for (const std::string &level : runnableLevels())
    compile(level);
  for (Pending &one : pending)
    for (auto [seed, step, microBatch] : {std::tuple<int64_t, int64_t, int64_t>{1, 0, 0},
                                          {-1234567890123456789, 4294967295, 3},
                                          {4294967297, 70000, 1000003}}) {
      one.test->arguments = {one.x, counter(seed, step, microBatch), one.offsets, one.id};
      run(*one.test);
      std::vector<HostTensor> got = one.test->results(),
                              want = expected(one.oracle, one.test->arguments);
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(difference(got[i], want[i], 0), "") << one.text << ", result " << i;
    }
}

} // namespace
} // namespace deepshard
