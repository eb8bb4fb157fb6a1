//===- MathTest.cpp - functions of f32 over the whole range -----------------------------------===//
//
// Every function is compiled and compared with libm in f64 at thousands of points of each binade of
// f32, both signs, denormals included.
//
//===------------------------------------------------------------------------------------------===//

#include "CodegenTesting.h"
#include "FloatRange.h"

#include <bit>
#include <cmath>
#include <random>

using namespace deepshard;
using namespace deepshard::runtime;

namespace {

/// out[i] = f(in[i], in2[i]) by `statement`, which makes %y from %a and %b of type T. `type` is
/// vector<16xf32> or f32.
std::string mapKernel(const std::string &name, const std::string &statement,
                      const std::string &type, int step) {
  std::string text = "func.func @" + name +
                     R"(_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %p = llvm.load %operands : !llvm.ptr -> !llvm.ptr
    %q1 = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %q = llvm.load %q1 : !llvm.ptr -> !llvm.ptr
    %r1 = llvm.getelementptr %operands[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %r = llvm.load %r1 : !llvm.ptr -> !llvm.ptr
    %step = arith.constant )" +
                     std::to_string(step) + R"( : i64
    scf.for %i = %begin to %end step %step : i64 {
      %ap = llvm.getelementptr %p[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %bp = llvm.getelementptr %q[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %yp = llvm.getelementptr %r[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %a = llvm.load %ap {alignment = 4 : i64} : !llvm.ptr -> TYPE
      %b = llvm.load %bp {alignment = 4 : i64} : !llvm.ptr -> TYPE
      )" + statement +
                     R"( : TYPE
      llvm.store %y, %yp {alignment = 4 : i64} : TYPE, !llvm.ptr
    }
    return
  })";
  for (size_t at; (at = text.find("TYPE")) != std::string::npos;)
    text.replace(at, 4, type);
  return text;
}

class MathTest : public CodegenTest {
protected:
  /// f of all pairs, computed on `level`.
  std::vector<float> apply(const std::string &statement, std::vector<float> a, std::vector<float> b,
                           const std::string &level, bool isVector = true) {
    size_t count = a.size();
    std::vector<float> result(count + 16);
    a.resize(count + 16, 1);
    b.resize(count + 16, 1);
    options.cpuLevel = level;
    llvm::FailureOr<std::string> object =
        compileKernels({source("f", mapKernel("f", statement, isVector ? "vector<16xf32>" : "f32",
                                              isVector ? 16 : 1))},
                       options);
    EXPECT_TRUE(succeeded(object)) << messages;
    if (failed(object))
      return result;
    Code code(*object);
    using Function = void (*)(void **, int64_t, int64_t, int64_t);
    void *operands[] = {a.data(), b.data(), result.data()};
    reinterpret_cast<Function>(code.find("f_0"))(operands, 0, static_cast<int64_t>(count), 0);
    result.resize(count);
    return result;
  }

  template <typename Exact>
  void compare(const std::string &statement, const std::vector<float> &a,
               const std::vector<float> &b, Exact exact, double mostError) {
    std::vector<float> found = apply(statement, a, b, "x86-64-v3");
    double worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < a.size(); ++i)
      if (double error = errorOf(found[i], exact(a[i], b[i])); !(error <= worst)) {
        worst = error;
        where = i;
      }
    EXPECT_LE(worst, mostError) << statement << " of " << a[where] << ", " << b[where] << ": "
                                << found[where] << ", exact " << exact(a[where], b[where]);
    RecordProperty("units_in_the_last_place", std::to_string(worst));
    // The same bits on every level, and for scalars.
    auto expectSame = [&](const std::vector<float> &other, const std::string &what) {
      for (size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(found[i]) && std::isnan(other[i]))
          continue;
        ASSERT_EQ(std::bit_cast<uint32_t>(other[i]), std::bit_cast<uint32_t>(found[i]))
            << what << ": " << statement << " of " << a[i] << ", " << b[i];
      }
    };
    for (const std::string &level : runnableLevels())
      if (level != "x86-64-v3")
        expectSame(apply(statement, a, b, level), level);
    expectSame(apply(statement, a, b, "x86-64-v3", /*isVector=*/false), "scalars");
  }

  void compareUnary(const std::string &op, double (*exact)(double), double mostError) {
    std::vector<float> points = wholeRange(4000);
    compare(
        "%y = " + op + " %a", points, points,
        [&](float x, float) { return exact(static_cast<double>(x)); }, mostError);
  }
};

TEST_F(MathTest, Exp) { compareUnary("math.exp", std::exp, 1.5); }
TEST_F(MathTest, Log) { compareUnary("math.log", std::log, 5); }
TEST_F(MathTest, Tanh) { compareUnary("math.tanh", std::tanh, 5); }
TEST_F(MathTest, Erf) { compareUnary("math.erf", std::erf, 5); }
TEST_F(MathTest, Sin) { compareUnary("math.sin", std::sin, 5); }
TEST_F(MathTest, Cos) { compareUnary("math.cos", std::cos, 5); }
TEST_F(MathTest, Sqrt) { compareUnary("math.sqrt", std::sqrt, 0.5); }
TEST_F(MathTest, Abs) { compareUnary("math.absf", std::fabs, 0); }
TEST_F(MathTest, Floor) { compareUnary("math.floor", std::floor, 0); }
TEST_F(MathTest, Rsqrt) {
  compareUnary("math.rsqrt", [](double x) { return 1 / std::sqrt(x); }, 5);
}

double exactPow(float x, float y) { return std::pow(double{x}, double{y}); }

TEST_F(MathTest, PowOfSpecialNumbers) {
  const std::vector<float> special = {
      0,          -0.0f,       1,         -1,         2,        -2,        3,        -3,
      0.5f,       -0.5f,       1.5f,      -1.5f,      16777215, -16777215, 16777216, 33554432,
      8388607.5f, 8388608,     8388609,   1e-42f,     -1e-42f,  1e38f,     -1e38f,   0.9999999f,
      1.0000001f, -0.9999999f, kInfinity, -kInfinity, kNan};
  std::vector<float> x, y;
  for (float a : special)
    for (float b : special) {
      x.push_back(a);
      y.push_back(b);
    }
  compare("%y = math.powf %a, %b", x, y, exactPow, 5);
}

/// Bases of all binades, with exponents that bring the result to anywhere in the range, and with
/// small integers and halves.
TEST_F(MathTest, Pow) {
  std::mt19937 generator(3);
  std::vector<float> x = wholeRange(2000), y;
  std::uniform_real_distribution<double> uniform(-160, 160);
  for (float a : x) {
    double log = std::log2(std::abs(double{a}));
    double exponent = log == 0 ? 3 : uniform(generator) / log;
    if (generator() % 2 == 0)
      exponent = std::nearbyint(2 * exponent) / 2;
    y.push_back(static_cast<float>(exponent));
  }
  // Near 1, where the logarithm cancels.
  for (int i = 0; i < 100000; ++i) {
    x.push_back(1 + static_cast<float>(uniform(generator)) * 1e-4f);
    y.push_back(static_cast<float>(uniform(generator)) * 1e4f);
  }
  compare("%y = math.powf %a, %b", x, y, exactPow, 5);
}

/// A conversion to bf16 and back rounds to nearest even.
TEST_F(MathTest, Bf16) {
  std::vector<float> points = wholeRange(1000);
  auto exact = [](float x, float) {
    if (std::isnan(x))
      return double{x};
    auto bits = std::bit_cast<uint32_t>(x);
    bits += 0x7fff + (bits >> 16 & 1);
    return double{std::bit_cast<float>(bits & 0xffff0000u)};
  };
  for (const std::string &level : runnableLevels()) {
    std::vector<float> found = apply("%n = arith.truncf %a : vector<16xf32> to vector<16xbf16>\n"
                                     "%w = arith.extf %n : vector<16xbf16> to vector<16xf32>\n"
                                     "%y = arith.negf %w",
                                     points, points, level);
    for (size_t i = 0; i < points.size(); ++i)
      ASSERT_EQ(errorOf(-found[i], exact(points[i], 0)), 0) << level << " " << points[i];
  }
}

} // namespace
